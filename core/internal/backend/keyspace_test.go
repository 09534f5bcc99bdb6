package backend

import (
	"fmt"
	"strings"
	"testing"
)

// These names are the wire format: a version that made others would not see the
// locks of this one.
func TestNamesAreTheWireFormat(t *testing.T) {
	for key, want := range map[string]Names{
		"a":         {"latchkey:{ed}:l:a", "latchkey:{ed}:q:a", "latchkey:{ed}:fence", 0xed},
		"orders/42": {"latchkey:{46}:l:orders/42", "latchkey:{46}:q:orders/42", "latchkey:{46}:fence", 0x46},
		"{x}\n":     {"latchkey:{90}:l:{x}\n", "latchkey:{90}:q:{x}\n", "latchkey:{90}:fence", 0x90},
	} {
		if got := newKeyspace("latchkey", false).Names(key); got != want {
			t.Errorf("names(%q) = %q, want %q", key, got, want)
		}
	}
	if got := newKeyspace("latchkey", false).channel(0, "p"); got != "latchkey:w:p" {
		t.Errorf("channel %q", got)
	}
	if got := newKeyspace("latchkey", true).channel(0xed, "p"); got != "latchkey:{ed}:w:p" {
		t.Errorf("channel on a cluster %q", got)
	}
}

func TestBucketsAreEvenlyUsed(t *testing.T) {
	const perBucket = 100
	count := make(map[string]int)
	for i := range buckets * perBucket {
		count[newKeyspace("p", false).Names(fmt.Sprintf("user:%d", i)).fence]++
	}
	if len(count) != buckets {
		t.Errorf("%d buckets, want %d", len(count), buckets)
	}
	for fence, n := range count {
		if n < perBucket/3 || n > 3*perBucket {
			t.Errorf("%s has %d keys, want about %d", fence, n, perBucket)
		}
	}
}

func TestKeyIsOnlyFoundInItsOwnLeasesName(t *testing.T) {
	k := newKeyspace("p", false)
	n := k.Names("key")
	for name, lease := range map[string]string{
		"empty":          "",
		"prefix only":    "p",
		"no key":         "p:{00}:l:",
		"queue":          n.queue,
		"fence":          n.fence,
		"another prefix": newKeyspace("q", false).Names("key").lease,
		"longer prefix":  newKeyspace("pp", false).Names("key").lease,
		"another bucket": strings.Replace(n.lease, n.lease[2:6], "{zz}", 1),
		"cut":            n.lease[:len(n.lease)-1],
		"longer":         n.lease + "\n",
	} {
		if key, ok := k.key(lease); ok {
			t.Errorf("%s: %q is the key of %q", name, key, lease)
		}
	}
}

func FuzzKeyspace(f *testing.F) {
	for _, key := range []string{"a", "orders/42", "{x}", "}{", "\x00\n", "p:{00}:l:k", "\xff"} {
		f.Add(key, "latchkey")
	}
	f.Fuzz(func(t *testing.T, key, prefix string) {
		if key == "" || prefix == "" || strings.ContainsAny(prefix, "{}\n") {
			t.Skip("core refuses it")
		}
		k := newKeyspace(prefix, false)
		n := k.Names(key)
		if got, ok := k.key(n.lease); !ok || got != key {
			t.Errorf("%q: %q, %v", key, got, ok)
		}
		if n.lease == n.queue || n.lease == n.fence || n.queue == n.fence {
			t.Errorf("two names are one: %q", n)
		}
		want := slot(n.lease)
		for _, name := range []string{n.queue, n.fence} {
			if got := slot(name); got != want {
				t.Errorf("%q is in slot %d, %q in %d", n.lease, want, name, got)
			}
		}
		if got, ok := k.key(key); ok && k.Names(got).lease != key {
			t.Errorf("%q is the key of %q, and is not", got, key)
		}
	})
}

// slot is a name's slot in a cluster, from the specification:
// https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags.
func slot(name string) uint16 {
	if _, rest, ok := strings.Cut(name, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			name = tag
		}
	}
	var crc uint16 // CRC-16/XMODEM
	for i := range len(name) {
		crc ^= uint16(name[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc % 16384
}

func TestSlotIsTheSpecifications(t *testing.T) {
	// The check value of the CRC, and answers of CLUSTER KEYSLOT.
	for name, want := range map[string]uint16{"123456789": 0x31C3, "foo": 12182, "{foo}bar": 12182} {
		if got := slot(name); got != want {
			t.Errorf("slot(%q) = %d, want %d", name, got, want)
		}
	}
}
