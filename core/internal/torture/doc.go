// Package torture tries to make two holders of one lock.
package torture
