-- 75_ledger_withdrawals: earnings of drivers

CREATE FUNCTION hail.driver_earnings(driver_id uuid, from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL)
RETURNS TABLE (currency text, trips bigint, gross bigint, commission bigint, net bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM hail.require_self('driver', driver_id);
    RETURN QUERY
    SELECT t.currency, count(*), sum(t.price)::bigint, sum(hail.commission(t.price, t.commission_bp))::bigint,
           sum(t.price - hail.commission(t.price, t.commission_bp))::bigint
    FROM hail.trips t
    WHERE t.driver_id = driver_earnings.driver_id AND t.state = 'completed'
      AND t.completed_at >= coalesce(from_time, '-infinity') AND t.completed_at < coalesce(to_time, 'infinity')
    GROUP BY t.currency ORDER BY t.currency;
END
$$;
COMMENT ON FUNCTION hail.driver_earnings(uuid, timestamptz, timestamptz) IS
'Completed trips of a driver by currency: number, gross (cash included), commission and net, minor units; from_time inclusive, to_time exclusive. For the driver and administrators.';
GRANT EXECUTE ON FUNCTION hail.driver_earnings(uuid, timestamptz, timestamptz) TO hail_driver, hail_admin;
