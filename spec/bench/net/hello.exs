# The same on gen_tcp: a process for each connection, headers line by line.
#    elixir --erl "+S 1:1" spec/bench/net/hello.exs
defmodule Hello do
  @answer "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!"

  def serve(socket) do
    case :gen_tcp.recv(socket, 0) do
      {:ok, request} ->
        [_, _, "HTTP/1." <> _] = String.split(request, " ")
        headers(socket)
        :gen_tcp.send(socket, @answer)
        serve(socket)
      {:error, _} -> :gen_tcp.close(socket)
    end
  end

  defp headers(socket) do
    case :gen_tcp.recv(socket, 0) do
      {:ok, "\r\n"} -> :ok
      {:ok, _} -> headers(socket)
      {:error, _} -> :ok
    end
  end

  def accept(listener) do
    {:ok, socket} = :gen_tcp.accept(listener)
    pid = spawn(fn -> receive do :go -> serve(socket) end end)
    :gen_tcp.controlling_process(socket, pid)
    send(pid, :go)
    accept(listener)
  end
end

{:ok, listener} = :gen_tcp.listen(0, [:binary, packet: :line, active: false, reuseaddr: true, backlog: 1024, nodelay: true])
{:ok, port} = :inet.port(listener)
IO.puts(port)
Hello.accept(listener)
