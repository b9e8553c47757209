-- A region of 55 km by 55 km, its fares, and a clock that stands still.
SELECT hail.set_clock(now());
SELECT hail.create_region('cairo', 'Cairo', 'EGP', 'Africa/Cairo', public.ST_MakeEnvelope(31.0, 29.8, 31.6, 30.3, 4326));
SELECT hail.load_sample_fares('cairo');
SELECT hail.set_fare('cairo', 'motorcycle', 500, 200, 20, 800, 1500);
SELECT hail.set_fare('cairo', 'van', 5000, 500, 100, 8000, 1500);
SELECT hail.register_user('+201000000000', 'Administrator', 'admin');
SELECT hail.open_account('GATEWAY_CLEARING', NULL, 'EGP');
SELECT count(*) FROM hail.keep();
