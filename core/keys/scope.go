package keys

// scopeMark stands between a scope and a key.
const scopeMark = "%:"

// Scoped returns the key under a scope, such as a route's pattern or a method's
// full name: PUT /o/{id}%:order:42. An empty scope is none, and the key stays as
// it is.
//
// Keys under different scopes never meet, and different keys under one scope do
// not either. What [Join] or a [Template] makes never meets what is under a
// scope. Beyond [MaxLen] bytes, where the result is shortened by a hash, "never"
// means: unless SHA-256 collides.
//
// Scoped is safe for concurrent use and allocates once for a key that is not
// hashed.
func Scoped(scope, key string) string {
	if scope == "" {
		return key
	}
	var stack [bufferSize]byte
	b := appendEscaped(stack[:0], scope, separator)
	b = append(b, scopeMark...)
	return finish(append(b, key...))
}
