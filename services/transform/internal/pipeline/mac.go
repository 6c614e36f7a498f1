package pipeline

import "crypto/sha256"

// mac are the 16 bytes behind a token, see [seal.Sealer.Token]. As the text that
// they are in subjects they would take 48 bytes of memory each.
type mac [16]byte

// macOf gives the bytes of a token: of the same the same, of others others. A
// text that is no token, from a subject that nobody of ours made, gets a hash.
func macOf(token string) (m mac) {
	if len(token) != 26 {
		return hashed(token)
	}
	at, bits, held := 0, uint(0), 0
	for i := range len(token) {
		c := token[i]
		switch {
		case c >= 'a' && c <= 'z':
			bits = bits<<5 | uint(c-'a')
		case c >= '2' && c <= '7':
			bits = bits<<5 | uint(c-'2'+26)
		default:
			return hashed(token)
		}
		if held += 5; held >= 8 {
			held -= 8
			m[at] = byte(bits >> held)
			at++
		}
	}
	if bits&3 != 0 { // 130 bits hold 128: another spelling of the same bytes
		return hashed(token)
	}
	return m
}

func hashed(text string) (m mac) {
	sum := sha256.Sum256([]byte(text))
	copy(m[:], sum[:])
	return m
}
