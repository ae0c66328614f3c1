/// A value by which elements are grouped.
///
/// Keys decide which partition an element goes to, in every process that takes part and in every
/// run that resumes from a checkpoint. So they need more than `Hashable`, whose hash differs from
/// process to process. The law, which all conformances must keep:
///
/// > If `isSameKey(a, b)`, then `a` and `b` have the same ``stableHash`` and the same binary form
/// > in a writer made for the purpose ``ByteWriter/Purpose/key``.
///
/// Declaring the conformance is enough for a type that is ``StreamCodable`` and `Hashable`: keys are
/// then hashed and compared by their binary form, which takes allocations per key. Combining the
/// fields with a ``StableHasher``, and comparing them by their own `isSameKey`, is faster.
///
/// Integers, `Bool`, `String`, `Character`, `Double`, `Float`, and optionals and arrays of keys are
/// keys. Strings and characters are the same key if their UTF-8 bytes are equal: canonically
/// equivalent ones with different bytes are two keys, though `==` takes them for equal. Zeros of
/// both signs are one key, and so are all NaNs. Sets and dictionaries are no keys, as their
/// elements have no order; composite keys are structs, as tuples are not `Hashable`.
///
/// Hashes are the same in every run, so keys can be made up that collide. A table in which keys
/// collide too often hashes their binary forms with a secret of its own from then on; entries keep
/// their order. Keys that are not the same need different forms there, or they collide again. All keys
/// of one ``stableHash`` still go to one partition.
///
/// `checkStreamKey` of DStreamTestKit checks keys of your own.
public protocol StreamKey: StreamCodable, Hashable {
    /// A hash that is the same in every process and run, and uniform in all of its 64 bits.
    ///
    /// The high bits choose the partition, the low ones the place in a table: a plain number is not
    /// good enough. See ``StableHasher``.
    var stableHash: UInt64 { get }

    /// Whether two values are one key; an equivalence relation.
    ///
    /// By default equal values are one key if their binary forms for the purpose
    /// ``ByteWriter/Purpose/key`` are equal too, as those of canonically equivalent strings are not.
    /// Values that are not equal to themselves, such as NaN, are compared by these forms alone.
    static func isSameKey(_ left: Self, _ right: Self) -> Bool
}

extension StreamKey {
    /// The hash of the binary form.
    @inlinable
    public var stableHash: UInt64 {
        keyForm.storage.withUnsafeBytes { StableHasher.hash($0) }
    }

    /// Whether the two values are one key by `==` and by their binary forms.
    @inlinable
    public static func isSameKey(_ left: Self, _ right: Self) -> Bool {
        // Most keys that meet in a table need no form: those that are the same in memory, as short strings
        // are that have the same bytes, and those that differ.
        if left.isSameInMemory(as: right) { return true }
        if left != right, left == left { return false }
        return left.hasForm(of: right)
    }

    @inlinable @inline(__always)
    func isSameInMemory(as other: Self) -> Bool {
        withUnsafeBytes(of: self) { own in
            withUnsafeBytes(of: other) { haveSameBytes(own, $0) }
        }
    }

    @inlinable
    func hasForm(of other: Self) -> Bool {
        var writer = keyForm
        let count = writer.storage.count
        other.encode(to: &writer)
        // What cannot be encoded has no form.
        if writer.failure != nil { return self == other }
        guard writer.storage.count == 2 * count else { return false }
        return writer.storage.withUnsafeBytes { bytes in
            haveSameBytes(
                UnsafeRawBufferPointer(rebasing: bytes[..<count]),
                UnsafeRawBufferPointer(rebasing: bytes[count...]))
        }
    }

    /// What stands for the key where it is hashed or compared.
    @inlinable var keyForm: ByteWriter {
        var writer = ByteWriter(purpose: .key, reservingCapacity: 64)
        encode(to: &writer)
        return writer
    }
}

extension StreamKey where Self: BitwiseCopyable {
    /// Whether the two values are equal or, as NaNs are not, have the same binary form as keys.
    @inlinable
    public static func isSameKey(_ left: Self, _ right: Self) -> Bool {
        // There are no strings in it: what is equal has the same form.
        left == right || left != left && left.hasForm(of: right)
    }
}

extension StreamKey where Self: FixedWidthInteger & BitwiseCopyable {
    /// Whether the numbers are equal.
    @inlinable
    public static func isSameKey(_ left: Self, _ right: Self) -> Bool { left == right }
}

extension StreamKey where Self: FixedWidthInteger {
    /// The hash of the number; equal numbers of different types hash alike.
    @inlinable
    public var stableHash: UInt64 {
        StableHasher.hash(number: UInt64(truncatingIfNeeded: self))
    }
}

extension Int: StreamKey {}
extension Int8: StreamKey {}
extension Int16: StreamKey {}
extension Int32: StreamKey {}
extension Int64: StreamKey {}
extension UInt: StreamKey {}
extension UInt8: StreamKey {}
extension UInt16: StreamKey {}
extension UInt32: StreamKey {}
extension UInt64: StreamKey {}

extension Bool: StreamKey {
    /// The hash of 0 or 1.
    @inlinable
    public var stableHash: UInt64 { StableHasher.hash(number: self ? 1 : 0) }

    /// Whether the two are equal.
    @inlinable
    public static func isSameKey(_ left: Bool, _ right: Bool) -> Bool { left == right }
}

extension Double: StreamKey {
    /// The hash of the bit pattern, with one zero and one NaN only.
    @inlinable
    public var stableHash: UInt64 { StableHasher.hash(number: keyBitPattern) }

    /// Whether the numbers are equal, or neither is a number.
    @inlinable
    public static func isSameKey(_ left: Double, _ right: Double) -> Bool {
        left.keyBitPattern == right.keyBitPattern
    }
}

extension Float: StreamKey {
    /// The hash of the bit pattern, with one zero and one NaN only.
    @inlinable
    public var stableHash: UInt64 { StableHasher.hash(number: UInt64(keyBitPattern)) }

    /// Whether the numbers are equal, or neither is a number.
    @inlinable
    public static func isSameKey(_ left: Float, _ right: Float) -> Bool {
        left.keyBitPattern == right.keyBitPattern
    }
}

extension Character: StreamKey {
    /// The hash of the UTF-8 bytes.
    @inlinable
    public var stableHash: UInt64 { String(self).stableHash }

    /// Whether the UTF-8 bytes are equal.
    @inlinable
    public static func isSameKey(_ left: Character, _ right: Character) -> Bool {
        String.isSameKey(String(left), String(right))
    }
}

extension Optional: StreamKey where Wrapped: StreamKey {
    /// A hash that tells nil from each wrapped value.
    @inlinable
    public var stableHash: UInt64 {
        var hasher = StableHasher()
        if let self { hasher.combine(self) }
        return hasher.finish()
    }

    /// Whether both are nil or wrap the same key.
    @inlinable
    public static func isSameKey(_ left: Wrapped?, _ right: Wrapped?) -> Bool {
        guard let left, let right else { return left == nil && right == nil }
        return Wrapped.isSameKey(left, right)
    }
}

extension Array: StreamKey where Element: StreamKey {
    /// The hash of the elements and their count; that of a byte array is the hash of its bytes.
    @inlinable
    public var stableHash: UInt64 {
        if Element.self == UInt8.self { return withUnsafeBytes { StableHasher.hash($0) } }
        var hasher = StableHasher()
        for element in self { hasher.combine(element) }
        hasher.combine(count)
        return hasher.finish()
    }

    /// Whether the arrays have the same keys in the same order.
    @inlinable
    public static func isSameKey(_ left: [Element], _ right: [Element]) -> Bool {
        left.count == right.count && left.elementsEqual(right, by: Element.isSameKey)
    }
}
