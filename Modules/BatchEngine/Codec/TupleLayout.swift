// The one place that reads the run-time description of a tuple type. Why, and what is relied on:
// Docs/Decisions/0002-tuple-codecs.md. The suite `TupleCodecTests` guards it.

/// The element types of a tuple and where its elements lie.
struct TupleLayout {
    /// An element of a tuple.
    struct Part {
        /// The element's type.
        let type: Any.Type
        /// The element's distance from the start of the tuple, in bytes.
        let offset: Int
    }

    /// The elements, in order.
    let parts: [Part]

    /// Reads the layout of a tuple type.
    ///
    /// - Returns: nil if the type is no tuple, or if what was read cannot be a layout of it.
    init?<T>(of type: T.Type) {
        // Reading types as pointers and back is what the record above is about.
        let description = unsafeBitCast(type as Any.Type, to: UnsafeRawPointer.self)
        guard description.load(as: Int.self) == Self.tupleKind else { return nil }
        let word = MemoryLayout<Int>.size
        let count = description.load(fromByteOffset: word, as: Int.self)
        parts = (0..<count).map { index in
            let part = description + word * (3 + 2 * index)
            return Part(
                type: part.load(as: Any.Type.self),
                // A full word or 32 bits and padding, by platform; all are little-endian.
                offset: Int(part.load(fromByteOffset: word, as: UInt32.self)))
        }
        guard isPlausible(size: MemoryLayout<T>.size) else { return nil }
    }

    /// The kind that marks descriptions of tuple types.
    private static let tupleKind = 0x301

    /// Whether the elements lie one after another, each aligned, and end where the tuple ends.
    private func isPlausible(size: Int) -> Bool {
        var end = 0
        for part in parts {
            let (size, alignment) = Self.sizeAndAlignment(part.type)
            end = (end + alignment - 1) / alignment * alignment
            guard part.offset == end else { return false }
            end += size
        }
        return end == size
    }

    private static func sizeAndAlignment<Part>(_ type: Part.Type) -> (Int, Int) {
        (MemoryLayout<Part>.size, MemoryLayout<Part>.alignment)
    }
}

extension Codec {
    /// The codec of a tuple type, or nil if `T` is none or a part has no codec.
    static func fromTupleParts() -> Codec? {
        guard let parts = TupleLayout(of: T.self)?.parts else { return nil }
        if parts.count == 2 { return pair(of: parts[0].type, parts[1]) }
        var codecs: [TuplePartCodec] = []
        for part in parts {
            guard let codec = TuplePartCodec.make(part.type, offset: part.offset)
            else { return nil }
            codecs.append(codec)
        }
        let partCodecs = codecs
        return Codec(
            shape: "(\(partCodecs.map(\.shape).joined(separator: ",")))",
            encode: { value, writer in
                withUnsafeBytes(of: value) { tuple in
                    guard let base = tuple.baseAddress else { return }
                    for part in partCodecs { part.encode(base, &writer) }
                }
            },
            decode: { reader in
                try withUnsafeTemporaryAllocation(of: T.self, capacity: 1) { tuple in
                    let base = UnsafeMutableRawPointer(tuple.baseAddress.unsafelyUnwrapped)
                    var done = 0
                    do {
                        for part in partCodecs {
                            try part.decode(&reader, base)
                            done += 1
                        }
                    } catch {
                        for part in partCodecs[..<done] { part.destroy(base) }
                        throw error
                    }
                    return tuple.moveElement(from: 0)
                }
            })
    }
}

extension Codec {
    /// The codec of a pair, as most tuples are, without a detour per part and value.
    ///
    /// Parts are read where they lie: unspecialised code that names the type of a pair looks it up
    /// at run time, for every value.
    private static func pair<First>(of first: First.Type, _ rest: TupleLayout.Part) -> Codec? {
        func pair<Second>(_ second: Second.Type) -> Codec? {
            guard let first = Codec<First>.resolve(), let second = Codec<Second>.resolve() else {
                return nil
            }
            let offset = rest.offset
            return Codec(
                shape: "(\(first.shape),\(second.shape))",
                encode: { value, writer in
                    withUnsafeBytes(of: value) { pair in
                        let base = pair.baseAddress.unsafelyUnwrapped
                        first.encode(base.assumingMemoryBound(to: First.self).pointee, &writer)
                        second.encode(
                            (base + offset).assumingMemoryBound(to: Second.self).pointee, &writer)
                    }
                },
                decode: { reader in
                    try withUnsafeTemporaryAllocation(of: T.self, capacity: 1) { pair in
                        let base = UnsafeMutableRawPointer(pair.baseAddress.unsafelyUnwrapped)
                        let (one, two) = (try first.decode(&reader), try second.decode(&reader))
                        base.assumingMemoryBound(to: First.self).initialize(to: one)
                        (base + offset).assumingMemoryBound(to: Second.self).initialize(to: two)
                        return pair.moveElement(from: 0)
                    }
                })
        }
        return pair(rest.type)
    }
}

/// The codec of one element of a tuple; its functions take the address of the whole tuple.
private struct TuplePartCodec: Sendable {
    let shape: String
    let encode: @Sendable (UnsafeRawPointer, inout ByteWriter) -> Void
    /// Reads the element into memory that is not initialised.
    let decode: @Sendable (inout ByteReader, UnsafeMutableRawPointer) throws -> Void
    let destroy: @Sendable (UnsafeMutableRawPointer) -> Void

    static func make<Part>(_ type: Part.Type, offset: Int) -> TuplePartCodec? {
        guard let codec = Codec<Part>.resolve() else { return nil }
        return TuplePartCodec(
            shape: codec.shape,
            encode: { codec.encode(($0 + offset).assumingMemoryBound(to: Part.self).pointee, &$1) },
            decode: { reader, tuple in
                let value = try codec.decode(&reader)
                (tuple + offset).assumingMemoryBound(to: Part.self).initialize(to: value)
            },
            destroy: { tuple in
                _ = (tuple + offset).assumingMemoryBound(to: Part.self).deinitialize(count: 1)
            })
    }
}
