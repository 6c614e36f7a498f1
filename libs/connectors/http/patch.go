package httpconn

import (
	"maps"
	"reflect"
	"slices"
)

// mergePatch is what turns before into after (RFC 7396): members that are
// equal are left out, members that are gone are null. The paths are those of
// after and before that the patch touches.
func mergePatch(before, after map[string]any) (patch map[string]any, paths []string) {
	patch = map[string]any{}
	for _, k := range slices.Sorted(maps.Keys(after)) {
		old, had := before[k]
		oldMap, oldIs := old.(map[string]any)
		newMap, newIs := after[k].(map[string]any)
		switch {
		case had && oldIs && newIs:
			inner, innerPaths := mergePatch(oldMap, newMap)
			if len(inner) > 0 {
				patch[k] = inner
				for _, p := range innerPaths {
					paths = append(paths, k+"."+p)
				}
			}
		case !had || !reflect.DeepEqual(old, after[k]):
			patch[k] = after[k]
			paths = append(paths, k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(before)) {
		if _, still := after[k]; !still {
			patch[k] = nil
			paths = append(paths, k)
		}
	}
	return patch, paths
}
