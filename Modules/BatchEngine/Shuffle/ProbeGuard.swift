/// How a table whose keys collide too often hashes them: their binary form, with a secret.
///
/// A ``StreamKey/stableHash`` is the same in every run, so whoever chooses keys can choose them to
/// collide, in all of its bits. The standard library's hasher is seeded per process; with a number
/// drawn for each table nothing that is seen of one table helps against another. See
/// Docs/Decisions/0019-colliding-keys.md.
@usableFromInline
struct ProbeGuard {
    /// How far from where it belongs a key of a table that is at most half full may lie.
    ///
    /// In a table of 2^31 keys with uniform hashes one lies as far with a probability of 3 %.
    @inlinable static var probeMaximum: Int { 128 }
    /// The same for an index that may be three quarters full.
    @inlinable static var segmentProbeMaximum: Int { 512 }

    private let secret = UInt64.random(in: .min ... .max)

    @usableFromInline
    init() {}

    /// The 32 bits by which a key is found.
    @usableFromInline
    func tag<Key: StreamKey>(of key: Key) -> UInt32 {
        var hasher = Hasher()
        hasher.combine(secret)
        key.keyForm.storage.withUnsafeBytes { hasher.combine(bytes: $0) }
        return UInt32(truncatingIfNeeded: hasher.finalize())
    }
}
