-- The configuration of examples/application.lua. Lines assign names; env reads the environment.
counting = {
  greeting = "line",
  shout = env("SHOUT", {type = "boolean", default = false}),
  limit = env("LIMIT", {type = "integer", min = 1, default = 100}),
}
