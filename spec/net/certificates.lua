-- Certificates for the specs of TLS, made by the openssl command in a directory of their own.
local mb = require "moonbeam"

local certificates = {}

local script = [[
cd "$1"
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $1.key; }
authority() { key $1; openssl req -x509 -new -key $1.key -out $1.pem -days 2 -subj "/CN=$2"; }
# name, authority, days, alternative names
signed() {
  key $1
  openssl req -new -key $1.key -out $1.csr -subj "/CN=$1" -addext "subjectAltName=$4"
  openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -days $3 -copy_extensions copy -out $1.pem
}
set -e
authority ca "the specs' authority"
authority other "another authority"
signed good ca 2 DNS:localhost,IP:127.0.0.1
signed wrong ca 2 DNS:a.example,DNS:b.example
signed expired ca -1 DNS:localhost
signed unknown other 2 DNS:localhost
signed one ca 2 DNS:one.example
signed wild ca 2 DNS:*.wild.example
signed client ca 2 DNS:client.example
key self; openssl req -x509 -new -key self.key -out self.pem -days 2 -subj /CN=self -addext subjectAltName=DNS:localhost
openssl ec -in good.key -aes256 -passout pass:secret -out locked.key
]]

--- Make them; a function that gives the path of a file, `path "good.pem"`, and the directory.
function certificates.make()
  local directory = os.tmpname()
  os.remove(directory)
  assert(mb.fs.mkdir(directory))
  local code, _, errors = mb.system.run("sh", {"-c", script, "sh", directory})
  assert(code == 0, errors)
  return function(name) return directory .. "/" .. name end, directory
end

function certificates.remove(directory) assert(mb.fs.remove(directory, {recursive = true})) end

return certificates
