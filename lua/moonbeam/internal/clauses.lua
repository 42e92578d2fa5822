--- Clauses for values that are at hand: `case`, and calling a matcher.
-- @module moonbeam.internal.clauses

local core = require "moonbeam.core"

local choose, unpack = core.choose, table.unpack

local clauses = {}

--- See moonbeam.case.
function clauses.case(value, choices)
  local a, b, c, body, count = choose(choices, nil, value)
  if body then -- in a tail call, as receive's
    if count == 1 then return body(a) end
    if count == 2 then return body(a, b) end
    if count == 0 then return body() end
    if count == 3 then return body(a, b, c) end
    return body(unpack(a, 1, count))
  end
  if count == 1 then return a end
  if count == 2 then return a, b end
  if count == 3 then return a, b, c end
  if count then return unpack(a, 1, count) end
  return core.raise_at_caller("no case clause matching: " .. require "moonbeam.internal.inspect"(value))
end

local case = clauses.case

--- A matcher that is called.
function clauses.call(matcher, value) return case(value, matcher) end

--- What is wrong with clause i, which is ill-formed.
-- @return text
function clauses.explain(choices, i) return require "moonbeam.internal.ill_formed"(choices, i) end

return clauses
