package backend

import "testing"

func TestInfoIsReadLineByLine(t *testing.T) {
	info := parseInfo("# Server\r\nredis_version:7.0.15\r\nos:Linux 6:1\r\n\r\n# Empty\r\nx:\r\n")
	if len(info) != 3 || info["redis_version"] != "7.0.15" || info["os"] != "Linux 6:1" {
		t.Errorf("%q", info)
	}
}

func TestVersionsThatAreOld(t *testing.T) {
	for version, want := range map[string]bool{
		"2.8.24": true, "5.0.14": true, "6.2.7": true, "6.3.4": true,
		"7.0.0": false, "7.2.4": false, "8.2.1": false, "10.0.0": false,
		"255.255.255": false, // built from the unstable branch
		"":            false, "unknown": false,
	} {
		if _, old := (serverInfo{"redis_version": version}).version(); old != want {
			t.Errorf("%q: old %v, want %v", version, old, want)
		}
	}
}

func TestPoliciesThatMayEvictALease(t *testing.T) {
	for _, c := range []struct {
		policy, limit string
		want          bool
	}{
		{"noeviction", "0", false},
		{"noeviction", "104857600", false},
		{"allkeys-lru", "0", false},
		{"allkeys-lru", "104857600", true},
		{"volatile-ttl", "104857600", true},
		{"volatile-lfu", "18446744073709551615", true},
		{"allkeys-random", "", false},
		{"", "104857600", false},
	} {
		if _, may := (serverInfo{"maxmemory_policy": c.policy, "maxmemory": c.limit}).evicts(); may != c.want {
			t.Errorf("%s with %s: %v, want %v", c.policy, c.limit, may, c.want)
		}
	}
}
