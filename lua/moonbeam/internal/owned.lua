--- What forgets a reference, with the reply and the DOWN for it, when the scope is left by whatever way:
-- `local _ <close> = owned(ref)`.
-- @module moonbeam.internal.owned

local core = require "moonbeam.core"

local mt = {__close = function(owned) core.demonitor(owned.ref, "flush") end}

return function(ref) return setmetatable({ref = ref}, mt) end
