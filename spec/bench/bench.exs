# The Elixir side of bench.lua: the same rows, in nanoseconds (bytes for memory), one `name value` a line.
# Run by compare.lua with one scheduler: elixir --erl "+S 1:1 +P 2000000" spec/bench/bench.exs [part = 1]
defmodule Counter do
  use GenServer
  def init(count), do: {:ok, count}
  def handle_call(request, _, count), do: {:reply, request, count + 1}
end

defmodule Bench do
  @part (case System.argv() do
    [part] -> String.to_integer(part)
    _ -> 1
  end)

  def size(n), do: div(n, @part)

  def time(name, n, fun) do
    n = size(n)
    :erlang.garbage_collect()
    start = System.monotonic_time(:nanosecond)
    fun.(n)
    IO.puts("#{name} #{(System.monotonic_time(:nanosecond) - start) / n}")
  end

  # What each of n calls takes, with so many ms between them: those below which so many parts of them are, by row.
  def spread(n, pause, fun, rows) do
    took =
      for i <- 1..n do
        start = System.monotonic_time(:nanosecond)
        fun.(i)
        took = System.monotonic_time(:nanosecond) - start
        Process.sleep(pause)
        took
      end
    sorted = List.to_tuple(Enum.sort(took))
    for {name, share} <- rows, do: IO.puts("#{name} #{elem(sorted, max(1, floor(n * share)) - 1)}")
  end

  def echo do
    receive do
      {:ping, from} ->
        send(from, :pong)
        echo()
      :stop -> :ok
    end
  end

  def ping(_, 0), do: :ok
  def ping(pid, n) do
    send(pid, {:ping, self()})
    receive do
      :pong -> ping(pid, n - 1)
    end
  end

  def bare_echo do
    receive do
      :stop -> :ok
      from ->
        send(from, :pong)
        bare_echo()
    end
  end

  def bulk_echo do
    receive do
      :stop -> :ok
      {from, list} ->
        send(from, list)
        bulk_echo()
    end
  end

  def echo_list(_, list, back, n) when n <= 0, do: ^list = back
  def echo_list(pid, list, _, n) do
    send(pid, {self(), list})
    receive do
      back when length(back) == length(list) -> echo_list(pid, list, back, n - 2 * length(list))
    end
  end

  def ping_bare(_, 0), do: :ok
  def ping_bare(pid, n) do
    send(pid, self())
    receive do
      :pong -> ping_bare(pid, n - 1)
    end
  end

  def pass_on(following, parent) do
    receive do
      :stop -> :ok
      0 ->
        send(parent, :round)
        pass_on(following, parent)
      left ->
        send(following, left - 1)
        pass_on(following, parent)
    end
  end

  def ring do
    me = self()
    first = spawn(fn -> receive do last -> pass_on(last, me) end end)
    {members, last} = Enum.map_reduce(2..1000, first, fn _, pid ->
      next = spawn(fn -> pass_on(pid, me) end)
      {next, next}
    end)
    send(first, last)
    time("ring", 300_000, fn n ->
      send(first, n)
      receive do
        :round -> :ok
      end
    end)
    for pid <- [first | members], do: send(pid, :stop)
  end

  def spawn_die(n) when n <= 0, do: :ok
  def spawn_die(n) do
    me = self()
    for _ <- 1..99, do: spawn(fn -> :ok end)
    spawn(fn -> send(me, :done) end)
    receive do
      :done -> spawn_die(n - 100)
    end
  end

  def spawn_monitored(0), do: :ok
  def spawn_monitored(n) do
    {pid, ref} = spawn_monitor(fn -> :ok end)
    receive do
      {:DOWN, ^ref, :process, ^pid, :normal} -> spawn_monitored(n - 1)
    end
  end

  def update(_, 0), do: :ok
  def update(agent, n) do
    :ok = Agent.update(agent, fn s -> s + 1 end)
    update(agent, n - 1)
  end

  def get(_, 0), do: :ok
  def get(agent, n) do
    true = is_integer(Agent.get(agent, fn s -> s end))
    get(agent, n - 1)
  end

  def call(_, 0), do: :ok
  def call(server, n) do
    ^n = GenServer.call(server, n)
    call(server, n - 1)
  end

  def task(0), do: :ok
  def task(n) do
    ^n = Task.await(Task.async(fn -> n end))
    task(n - 1)
  end

  def fan_in(senders, n) do
    me = self()
    for _ <- 1..senders, do: spawn(fn -> for i <- 1..div(n, senders), do: send(me, {:m, i}) end)
    drain(n)
  end

  def drain(0), do: :ok
  def drain(n) do
    receive do
      {:m, _} -> drain(n - 1)
    end
  end

  def tasks(n), do: for(i <- 1..n, do: Task.async(fn -> i end))

  def await_many(_, 0), do: :ok
  def await_many(size, n) do
    true = Task.await_many(tasks(size), :infinity) == Enum.to_list(1..size)
    await_many(size, n - size)
  end

  def await_in_order(n) do
    for {task, i} <- Enum.with_index(tasks(n), 1), do: ^i = Task.await(task, :infinity)
  end

  def await_backwards(n) do
    for {task, i} <- Enum.reverse(Enum.with_index(tasks(n), 1)), do: ^i = Task.await(task, :infinity)
  end

  def fresh_echo do
    receive do
      :stop -> :ok
      {from, ref} ->
        send(from, {ref, :fresh})
        fresh_echo()
    end
  end

  def receive_fresh(_, 0), do: :ok
  def receive_fresh(pid, n) do
    ref = make_ref()
    send(pid, {self(), ref})
    receive do
      {^ref, :fresh} -> receive_fresh(pid, n - 1)
    end
  end

  def link_of(parent, other) do
    if other, do: Process.link(other)
    send(parent, :linked)
    receive do
      _ -> exit(:broken)
    end
  end

  def chain_dies(first, ref, last) do
    send(last, :die)
    receive do
      {:DOWN, ^ref, :process, ^first, :broken} -> :ok
    end
  end

  def chain(n) do
    me = self()
    {first, ref} = spawn_monitor(fn -> link_of(me, nil) end)
    last = Enum.reduce(2..n, first, fn _, pid -> spawn(fn -> link_of(me, pid) end) end)
    for _ <- 1..n, do: (receive do :linked -> :ok end)
    {first, ref, last}
  end

  def answer(pid, i) do
    send(pid, {self(), i})
    receive do
      ^i -> :ok
    end
  end

  def compute, do: compute()

  def beside_busy(pid) do
    hog = spawn(&compute/0)
    spread(200, 0, &answer(pid, &1), [{"beside_busy", 0.5}])
    Process.exit(hog, :kill)
  end

  def allocate do
    _ = Enum.map(1..200, fn i -> {i, Integer.to_string(i)} end)
    Process.sleep(1)
    allocate()
  end

  def beside_allocating(pid) do
    hog = spawn(&allocate/0)
    spread(div(3000, @part), 1, &answer(pid, &1), [{"crowd_p99", 0.99}, {"crowd_p999", 0.999}])
    Process.exit(hog, :kill)
  end

  def echo_64k(_, _, 0), do: :ok
  def echo_64k(pid, long, n) do
    send(pid, {self(), long})
    receive do
      ^long -> echo_64k(pid, long, n - 1)
    end
  end

  def idle(parent) do
    send(parent, :ready)
    receive do
      :stop -> :ok
    end
  end

  def run do
    pid = spawn(&echo/0)
    time("ping_pong", 300_000, &ping(pid, &1))
    time("ping_pong_clause", 300_000, &ping(pid, &1))
    time("ping_pong_clauses", 300_000, &ping(pid, &1))
    bare = spawn(&bare_echo/0)
    time("ping_pong_bare", 300_000, &ping_bare(bare, &1))
    send(bare, :stop)
    ring()
    time("spawn_die", 300_000, &spawn_die/1)
    time("spawn_monitor_down", 200_000, &spawn_monitored/1)
    {:ok, agent} = Agent.start(fn -> 0 end)
    time("agent_update", 200_000, &update(agent, &1))
    time("agent_get", 200_000, &get(agent, &1))
    true = Agent.get(agent, & &1) == size(200_000)
    {:ok, server} = GenServer.start(Counter, 0)
    time("gen_server_call", 200_000, &call(server, &1))
    time("task", 100_000, &task/1)
    time("fan_in", 500_000, &fan_in(10, &1))
    time("fan_in_one", 500_000, &fan_in(1, &1))
    time("fan_in_100", 1_000_000, &fan_in(100, &1))
    for many <- [100, 10_000, 100_000], many <= size(100_000), do: time("await_many_#{many}", 100_000, &await_many(many, &1))
    time("await_in_order", 10_000, &await_in_order/1)
    time("await_backwards", 10_000, &await_backwards/1)
    fresh = spawn(&fresh_echo/0)
    for i <- 1..size(10_000), do: send(self(), {:old, i})
    time("receive_fresh", 100_000, &receive_fresh(fresh, &1))
    send(fresh, :stop)
    for i <- 1..size(10_000), do: (receive do {:old, ^i} -> :ok end)
    {first, ref, last} = chain(size(50_000))
    time("chain_dies", 50_000, fn _ -> chain_dies(first, ref, last) end)
    texts = for i <- 1..1000, do: "text #{i}"
    rows = for i <- 1..1000, do: {i, "text #{i}"}
    bulk = spawn(&bulk_echo/0)
    time("echo_pair", 2_000_000, &echo_list(bulk, rows, nil, &1))
    time("echo_text", 2_000_000, &echo_list(bulk, texts, nil, &1))
    time("echo_64k", 20_000, &echo_64k(bulk, String.duplicate("x", 65_536), &1))
    beside_busy(bulk)
    :erlang.garbage_collect()
    before = :erlang.memory(:processes)
    me = self()
    time("spawn_stay", 200_000, fn n ->
      Process.put(:idle, for(_ <- 1..n, do: spawn(fn -> idle(me) end)))
      for _ <- 1..n, do: (receive do :ready -> :ok end)
    end)
    idle = Process.get(:idle)
    :erlang.garbage_collect()
    IO.puts("idle_bytes #{(:erlang.memory(:processes) - before) / length(idle)}")
    time("ping_pong_crowded", 300_000, &ping(pid, &1))
    beside_allocating(bulk)
    send(bulk, :stop)
    send(pid, :stop)
    Process.monitor(List.last(idle))
    time("stop_all", 200_000, fn _ ->
      for p <- idle, do: send(p, :stop)
      receive do
        {:DOWN, _, _, _, :normal} -> :ok
      end
    end)
  end
end

Bench.run()
