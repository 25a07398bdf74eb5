-- Wallets, by id.
require("common")

init = begin

function request()
  return wrk.format("GET", "/v1/wallets/" .. any_wallet(), headers)
end
