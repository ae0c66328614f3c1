public import BatchEngine

/// Checks that a type keeps the promises of `StreamCodable`.
///
/// A decoder that traps ends the process: any bytes may come.
///
/// - Parameter values: some that the type can have; all of them can be encoded.
/// - Throws: ``CheckFailure`` saying which promise is broken.
/// - Complexity: O(*n*²) in the bytes of each value.
public func checkStreamCodable<Value: StreamCodable & Equatable>(_ values: [Value]) throws {
    try checkStreamCodable(values, areEqual: ==)
}

/// Checks that a type keeps the promises of `StreamCodable`, for values that are equal by another
/// measure than `==`.
///
/// - Parameters:
///   - values: some that the type can have; all of them can be encoded.
///   - areEqual: whether one is what comes back of the other.
/// - Throws: ``CheckFailure`` saying which promise is broken.
/// - Complexity: O(*n*²) in the bytes of each value.
public func checkStreamCodable<Value: StreamCodable>(
    _ values: [Value], areEqual: (Value, Value) throws -> Bool
) throws {
    try require(!values.isEmpty, "the check is given a value")
    let shape = Value.codecShape
    try require(!shape.isEmpty && shape == Value.codecShape, "codecShape names the form: \(shape)")
    var random = SeededRandom(1)
    var all: [UInt8] = []
    for value in values {
        let bytes = try form(of: value)
        all += bytes
        for following in [[], [0], [255, 255, 255, 255, 255, 255, 255, 255, 255], bytes] {
            let (read, count) = try decoded(value, from: bytes + following)
            try require(
                try areEqual(read, value), "decode gives what was encoded: \(read), not \(value)")
            try require(
                count == bytes.count,
                "decode reads what encode wrote, whatever follows: \(count) bytes of \(value), "
                    + "not \(bytes.count)")
        }
        try checkBrokenForms(Value.self, bytes, &random)
    }
    try all.withUnsafeBytes { buffer in
        var reader = ByteReader(buffer)
        for value in values {
            let read = try Value.decode(from: &reader)
            try require(
                try areEqual(read, value), "forms can follow one another: \(read), not \(value)")
        }
    }
}

/// The binary form of a value.
func form<Value: StreamCodable>(
    of value: Value, for purpose: ByteWriter.Purpose = .value
) throws -> [UInt8] {
    var writer = ByteWriter(purpose: purpose)
    value.encode(to: &writer)
    do { return try writer.takeBytes() } catch {
        throw CheckFailure("\(value) cannot be encoded: \(error)")
    }
}

private func decoded<Value: StreamCodable>(
    _ value: Value, from bytes: [UInt8]
) throws -> (value: Value, count: Int) {
    try bytes.withUnsafeBytes { buffer in
        var reader = ByteReader(buffer)
        do {
            let read = try Value.decode(from: &reader)
            return (read, reader.offset)
        } catch {
            throw CheckFailure("decode gives what was encoded: of \(value) it throws \(error)")
        }
    }
}

/// Bytes that are no form, or hardly one.
private func checkBrokenForms<Value: StreamCodable>(
    _ type: Value.Type, _ bytes: [UInt8], _ random: inout SeededRandom
) throws {
    // Of long forms the beginning and the end.
    for count in bytes.indices where count < 500 || count > bytes.count - 50 {
        let isRead = try tryDecoding(Value.self, Array(bytes[..<count]))
        try require(
            !isRead,
            "the first \(count) of \(bytes.count) bytes of a form are refused with a CodecError")
    }
    for _ in 0..<200 {
        var changed = bytes + (0..<random.int(0...8)).map { _ in UInt8(random.int(0...255)) }
        for _ in 0..<random.int(1...4) where !changed.isEmpty {
            changed[random.int(0...(changed.count - 1))] = UInt8(random.int(0...255))
        }
        _ = try tryDecoding(Value.self, changed)
    }
}

/// Whether bytes are a form, or the beginning of them is.
private func tryDecoding<Value: StreamCodable>(
    _ type: Value.Type, _ bytes: [UInt8]
) throws -> Bool {
    try bytes.withUnsafeBytes { buffer in
        var reader = ByteReader(buffer)
        do {
            _ = try Value.decode(from: &reader)
            return true
        } catch is CodecError {
            return false
        } catch {
            throw CheckFailure("bytes that are no form are refused with a CodecError: \(error)")
        }
    }
}
