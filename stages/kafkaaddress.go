package stages

import (
	"net"
	"net/netip"
	"strconv"
)

// kafkaAddress is where clients are told to connect to. Unless it is configured it is where
// this client has connected to, as far as that can be seen from here: so whoever has come
// by a loopback, by a container's network or from another machine is told an address of
// that very network. What lies between, a forwarded port above all, does not show, and
// needs stages.kafka.advertised.
func (c *conn) kafkaAddress() (host string, port int32) {
	local := c.nc.LocalAddr().String()
	host, port = splitAddress(local)
	if told := c.srv.conf.KafkaProtocol.Advertised; told != "" {
		var other int32
		if host, other = splitAddress(told); other != 0 {
			port = other
		}
	}
	return host, port
}

// splitAddress takes "host:port" or a host alone apart; port 0: there is none. An address of
// IPv6 has no brackets then, since clients put them where they need them, and one that is
// really of IPv4 is told as such: not every client has sockets for both.
func splitAddress(s string) (host string, port int32) {
	host = s
	if h, p, err := net.SplitHostPort(s); err == nil {
		host = h
		if n, err := strconv.ParseUint(p, 10, 16); err == nil {
			port = int32(n)
		}
	} else if n := len(s); n > 2 && s[0] == '[' && s[n-1] == ']' {
		host = s[1 : n-1]
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	return host, port
}
