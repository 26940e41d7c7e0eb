package stages

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// kafkaAddress is where clients are told to connect to. Unless it is configured it is where
// this client has connected to, as far as that can be seen from here: so whoever has come
// by a loopback, by a container's network or from another machine is told an address of
// that very network. What lies between, a forwarded port above all, does not show, and
// needs stages.kafka.advertised.
func (c *conn) kafkaAddress() (host string, port int32) {
	host, port, _ = splitAddress(c.nc.LocalAddr().String())
	if told := c.srv.conf.KafkaProtocol.Advertised; told != "" {
		var other int32
		if host, other, _ = splitAddress(told); other != 0 {
			port = other
		}
	}
	return host, port
}

// splitAddress takes "host:port", or a host alone, apart; port 0: there is none. An address of
// IPv6 has no brackets then, since clients put them where they need them, and one that is
// really of IPv4 is told as such: not every client has sockets for both.
func splitAddress(s string) (host string, port int32, ok bool) {
	host, ok = s, true
	if h, p, err := net.SplitHostPort(s); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		host, port, ok = h, int32(n), err == nil && n > 0
	} else if h, bracketed := strings.CutPrefix(s, "["); bracketed {
		host, ok = strings.CutSuffix(h, "]")
	}
	ip, err := netip.ParseAddr(host)
	if err == nil {
		host = ip.Unmap().String()
	}
	return host, port, ok && host != "" && (err == nil || !strings.ContainsAny(host, ":/[] "))
}

func advertised(c *Config) string { return c.KafkaProtocol.Advertised }

func setAdvertised(c *Config, v string) error {
	host, _, ok := splitAddress(v)
	switch ip, err := netip.ParseAddr(host); {
	case v == "":
	case !ok:
		return fmt.Errorf("%q is neither host:port nor a host", v)
	case err == nil && ip.IsUnspecified():
		return fmt.Errorf("%q stands for every address of this machine, and is none to connect to: use one of them", v)
	}
	c.KafkaProtocol.Advertised = v
	return nil
}
