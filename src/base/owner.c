/* SPI as hail_owner; see owner.h. */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"

#include "base/owner.h"

HailOwner hail_owner_begin(void)
{
    HailOwner saved;

    GetUserIdAndSecContext(&saved.user, &saved.context);
    saved.guc_level = NewGUCNestLevel();
    SetUserIdAndSecContext(get_role_oid("hail_owner", false), saved.context | SECURITY_LOCAL_USERID_CHANGE);
    (void)set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
                            true, 0, false);
    SPI_connect();
    return saved;
}

void hail_owner_end(HailOwner saved)
{
    SPI_finish();
    AtEOXact_GUC(true, saved.guc_level);
    SetUserIdAndSecContext(saved.user, saved.context);
}
