-- The users of a database that the service shares with nobody, made before the schema is.
-- The instances log in as one who may append to the ledger and not rewrite it, even if somebody makes them say so.
\set password `cat /run/secrets/service_password`
CREATE ROLE wallet_service NOLOGIN;
CREATE ROLE wallet_instance LOGIN PASSWORD :'password' IN ROLE wallet_service;
