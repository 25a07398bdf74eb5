-- Credits that were made before, sent again. One more argument: a file with the key and the wallet of one in each line.
require("common")

local made = {}

function init(arguments)
  begin(arguments)
  for line in io.lines(arguments[5]) do
    local key, wallet = line:match("^(%S+) (%S+)$")
    table.insert(made, {key, wallet})
  end
end

function request()
  local one = made[math.random(1, #made)]
  headers["Idempotency-Key"] = one[1]
  return wrk.format("POST", "/v1/wallets/" .. one[2] .. "/credits", headers, '{"amount":1}')
end
