public import BatchEngine

/// Checks that a type keeps the promises of `StreamKey`, and those of `StreamCodable`.
///
/// That a hash is the same in another process cannot be seen from here; that of `hashValue`, which
/// is not, is noticed.
///
/// - Parameter keys: some that the type can have, equal ones in different forms among them (such as
///   both zeros). Of 16 and more different ones it is checked that their hashes are spread.
/// - Throws: ``CheckFailure`` saying which promise is broken.
/// - Complexity: O(*n*²) in the keys.
public func checkStreamKey<Key: StreamKey>(_ keys: [Key]) throws {
    for key in keys {
        try require(Key.isSameKey(key, key), "a key is the same as itself: \(key)")
    }
    try checkStreamCodable(keys, areEqual: Key.isSameKey)
    let forms = try keys.map { try form(of: $0, for: .key) }
    for (left, form) in zip(keys, forms) {
        for (right, otherForm) in zip(keys, forms) {
            try checkPair((left, form), (right, otherForm))
        }
    }
    for key in keys { try checkHash(of: key) }
    try checkSpread(keys)
}

private func checkPair<Key: StreamKey>(
    _ left: (key: Key, form: [UInt8]), _ right: (key: Key, form: [UInt8])
) throws {
    let pair = "\(left.key) and \(right.key)"
    let isSame = Key.isSameKey(left.key, right.key)
    try require(
        isSame == Key.isSameKey(right.key, left.key), "isSameKey is symmetric: \(pair)")
    try require(
        !isSame || left.key.stableHash == right.key.stableHash,
        "same keys have the same stableHash: \(pair)")
    try require(
        !isSame || left.form == right.form, "same keys have the same form as keys: \(pair)")
    try require(
        isSame || left.form != right.form, "different keys have different forms as keys: \(pair)")
    try require(
        left.key != right.key || left.key.hashValue == right.key.hashValue,
        "equal keys have the same hashValue: \(pair)")
}

private func checkHash<Key: StreamKey>(of key: Key) throws {
    let hash = key.stableHash
    try require(
        hash == key.stableHash, "stableHash is the same each time: \(key)")
    try require(
        hash != UInt64(bitPattern: Int64(key.hashValue)),
        "stableHash is not hashValue, which is another one in each process: \(key)")
    let read = try form(of: key).withUnsafeBytes { buffer in
        var reader = ByteReader(buffer)
        return try Key.decode(from: &reader)
    }
    try require(
        read.stableHash == hash, "a key that was decoded has the stableHash that it had: \(key)")
}

/// The high bits choose the partition, the low ones the place in a table.
private func checkSpread<Key: StreamKey>(_ keys: [Key]) throws {
    var different: [Key] = []
    for key in keys where !different.contains(where: { Key.isSameKey($0, key) }) {
        different.append(key)
    }
    guard different.count >= 16 else { return }
    for (name, shift) in [("high", 56), ("low", 0)] as [(String, UInt64)] {
        let parts = Set(different.map { ($0.stableHash >> shift) & 255 })
        try require(
            parts.count > 1,
            "stableHash is uniform in all bits: the \(name) ones of \(different.count) keys are "
                + "the same")
    }
}
