/* The document from the tables; see openapi.h. */
#include "openapi.h"

void openapi_render(Buffer *out)
{
    buffer_text(out, "{\"openapi\":\"3.1.0\"}");
}
