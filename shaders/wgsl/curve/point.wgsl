// Affine points, coordinates canonical in Montgomery's domain. The identity is (0, 0), which is on neither curve; and no
// point has y = 0, as both curves have an odd number of points.
struct Point {
    x: Fx,
    y: Fx,
}
