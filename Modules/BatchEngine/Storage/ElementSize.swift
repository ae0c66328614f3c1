/// Estimates how much memory elements take, for limits in bytes.
///
/// Strings and byte arrays are counted exactly. Of other types with a codec some elements are
/// encoded and the rest taken to be like them, with the memory of the elements of their collections;
/// types without a codec count their stride only.
public struct ElementSize<Element: Sendable>: Sendable {
    @usableFromInline
    enum Kind: Sendable {
        case stride
        case string
        case bytes
        case sampled(Codec<Element>)
    }

    /// One in so many elements is encoded, once a few have been.
    @usableFromInline static var sampleInterval: Int { 16 }

    @usableFromInline let kind: Kind

    /// Finds out how elements of the type are measured.
    public init() {
        if Element.self == String.self {
            kind = .string
        } else if Element.self == [UInt8].self {
            kind = .bytes
        } else if Element.self is any FixedWidthInteger.Type
            || Element.self is any BinaryFloatingPoint.Type || Element.self == Bool.self
        {
            kind = .stride
        } else {
            kind = Codec<Element>.resolve().map { .sampled($0) } ?? .stride
        }
    }

    /// Whether measuring runs code of the elements: they encode themselves.
    var runsCodec: Bool {
        if case .sampled = kind { return true }
        return false
    }

    /// The measure of the type, found out once per process.
    static var shared: ElementSize {
        let type = ObjectIdentifier(Element.self)
        if let known = knownSizes.withLock({ $0[type] }) as? ElementSize { return known }
        let size = ElementSize()
        knownSizes.withLock { $0[type] = size }
        return size
    }

    /// The estimated bytes of one element, which is the `index`-th of those measured together.
    ///
    /// - Parameter last: the estimate before, taken again where nothing is measured.
    @inlinable
    public func byteCount(of element: Element, index: Int, last: Int) -> Int {
        switch kind {
        case .stride: return MemoryLayout<Element>.stride
        case .string:
            return (element as? String).map { ElementSize<String>.byteCount(of: $0) } ?? last
        case .bytes: return ((element as? [UInt8])?.count ?? 0) + 40
        case .sampled(let codec):
            guard index < 4 || index % Self.sampleInterval == 0 else { return last }
            return Self.encodedSize(element, codec)
        }
    }

    /// The estimated bytes of an array's elements.
    ///
    /// - Complexity: O(elements) for strings and byte arrays; others are judged by 64 of them.
    public func byteCount(of elements: [Element]) -> Int {
        switch kind {
        case .stride: return elements.count * MemoryLayout<Element>.stride
        case .string:
            // One cast of them all: one for each takes several times as long as the rest.
            let strings = (elements as Any) as? [String] ?? []
            return strings.reduce(0) { $0 + ElementSize<String>.byteCount(of: $1) }
        case .bytes:
            return elements.reduce(0) { $0 + byteCount(of: $1, index: 0, last: 0) }
        case .sampled(let codec):
            let count = min(elements.count, 64)
            guard count > 0 else { return 0 }
            var writer = ByteWriter(reservingCapacity: 16 * count)
            for number in 0..<count {
                codec.encode(elements[number * elements.count / count], &writer)
            }
            let bytes = MemoryLayout<Element>.stride * count + writer.count + writer.footprint
            return bytes * elements.count / count
        }
    }

    @usableFromInline
    static func encodedSize(_ element: Element, _ codec: Codec<Element>) -> Int {
        var writer = ByteWriter()
        codec.encode(element, &writer)
        return MemoryLayout<Element>.stride + writer.count + writer.footprint
    }
}

extension ElementSize<String> {
    @usableFromInline
    static func byteCount(of string: String) -> Int {
        let count = string.utf8.count
        return count > 15 ? count + 48 : 16
    }
}

/// Finding a tuple's codec takes longer than measuring a small partition.
private let knownSizes = Locked<[ObjectIdentifier: any Sendable]>([:])
