-- A server that keeps its argument, in a module that require knows.
local Keeper = {}

function Keeper.init(arg) return "ok", arg end

function Keeper.handle_call(_, _, state) return "reply", state, state end

return Keeper
