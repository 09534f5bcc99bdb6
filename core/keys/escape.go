package keys

import "unicode/utf8"

const upperHex = "0123456789ABCDEF"

// appendEscaped appends a part to a key. The text that it appends consists of
// plain characters and %XX, and holds neither a colon nor, as the first byte of
// a character, the byte stop. So whoever knows what comes after the part finds
// its end, by reading from the left and taking each %XX as one.
func appendEscaped(b []byte, part string, stop byte) []byte {
	plain := 0 // the beginning of the run that is not yet appended
	for i := 0; i < len(part); {
		c := part[i]
		if c >= ' ' && c < 0x7f && c != '%' && c != separator && c != stop {
			i++
			continue
		}
		size := 1
		if c >= utf8.RuneSelf {
			var r rune
			r, size = utf8.DecodeRuneInString(part[i:])
			if (r != utf8.RuneError || size > 1) && c != stop {
				i += size
				continue
			}
		}
		b = append(b, part[plain:i]...)
		// The whole character: half a one would not be valid UTF-8.
		for _, c := range []byte(part[i : i+size]) {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
		i += size
		plain = i
	}
	return append(b, part[plain:]...)
}
