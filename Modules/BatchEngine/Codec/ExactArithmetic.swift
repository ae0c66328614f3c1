/// Whether what a function has combined of values of a type can be taken out again exactly.
///
/// It can for integers, truth values and texts, and for tuples and collections of them. Of any other
/// type it is not known what it is made of: structs, enumerations and classes have no description
/// of their parts that could be relied on.
@usableFromInline
package func hasExactArithmetic<T>(_ type: T.Type) -> Bool {
    if T.self is any FixedWidthInteger.Type { return true }
    if T.self == Bool.self || T.self == String.self || T.self == Character.self { return true }
    func isExact<Part>(_ part: Part.Type) -> Bool { hasExactArithmetic(part) }
    if let type = T.self as? any PartwiseCodable.Type {
        return type.partTypes.allSatisfy { isExact($0) }
    }
    guard let parts = TupleLayout(of: T.self)?.parts else { return false }
    return parts.allSatisfy { isExact($0.type) }
}

/// The floating-point numbers that a value is, or that it holds if it is a tuple.
///
/// Those in structs, enumerations and collections are not found.
@usableFromInline
package struct FloatingPointParts<T> {
    private var parts: [(type: any FloatingPoint.Type, offset: Int)] = []

    /// Looks for the parts of a type.
    @usableFromInline
    package init(of type: T.Type) { look(in: type, at: 0) }

    private mutating func look<Value>(in type: Value.Type, at offset: Int) {
        if let number = type as? any FloatingPoint.Type { return parts.append((number, offset)) }
        for part in TupleLayout(of: type)?.parts ?? [] {
            look(in: part.type, at: offset + part.offset)
        }
    }

    /// Whether all of them are finite.
    @usableFromInline
    package func areFinite(in value: T) -> Bool {
        withUnsafeBytes(of: value) { bytes in
            guard let base = bytes.baseAddress else { return true }
            return parts.allSatisfy { $0.type.isFinite(at: base + $0.offset) }
        }
    }

    /// The value with 1 for each of them.
    @usableFromInline
    package func settingToOne(in value: T) -> T {
        var value = value
        withUnsafeMutableBytes(of: &value) { bytes in
            guard let base = bytes.baseAddress else { return }
            for part in parts { part.type.setToOne(at: base + part.offset) }
        }
        return value
    }
}

extension FloatingPoint {
    fileprivate static func isFinite(at place: UnsafeRawPointer) -> Bool {
        place.assumingMemoryBound(to: Self.self).pointee.isFinite
    }

    fileprivate static func setToOne(at place: UnsafeMutableRawPointer) {
        place.assumingMemoryBound(to: Self.self).pointee = 1
    }
}
