-- Credits of nothing: read, authenticated and decoded as any other, and refused before anything is asked of the database.
require("common")

init = begin

function request()
  return write("/v1/wallets/" .. any_wallet() .. "/credits", '{"amount":0}')
end
