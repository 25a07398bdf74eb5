-- Single credits to wallets that several instances write to. One of them may lose every race for a while, and then says
-- 409: try again. Only here each answer is looked at, since that costs the load generator a few microseconds.
require("common")

init = begin
request = credit

function response(status)
  if status > 299 and status ~= 409 then
    unexpected = unexpected + 1
  end
end
