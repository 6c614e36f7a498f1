package httpconn

import (
	"maps"
	"reflect"
	"slices"
)

// mergePatch is what lays after over before (RFC 7396): members that are equal
// are left out, one that after clears is null, and one that after does not say
// stays as it is. The paths are those of after that the patch touches.
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
	return patch, paths
}
