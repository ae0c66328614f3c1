/// The contents of (a piece of) one partition, as a kernel is handed it.
///
/// Partitions are erased once here, per partition and never per element; a pipe that starts a
/// stage turns the pieces back into typed elements.
public enum PartitionData: Sendable {
    /// Elements in memory, as a typed array.
    case values(any PartitionValues)
    /// Text lines kept as bytes and decoded lazily.
    case lines(LineBlock)
    /// Elements as bytes, written by the element type's codec.
    case encoded(EncodedValues)
    /// Contents that the engine's block store holds; engines resolve it before a kernel runs.
    case block(BlockID)
    /// Contents that belong to input `index` of an operator with several inputs.
    indirect case branch(Int, [PartitionData])
    /// The input of a pipe made in a per-batch body (`transform`, `foreachRDD`), not yet run.
    case dynamic(any Sendable & AnyObject, [PartitionData])

    /// How many elements are here, as far as that is known without running a pipe.
    public var count: Int {
        switch self {
        case .values(let values): values.count
        case .lines(let lines): lines.count
        case .encoded(let encoded): encoded.count
        case .block: 0
        case .branch(_, let inner), .dynamic(_, let inner): inner.reduce(0) { $0 + $1.count }
        }
    }

    /// Whether something here is still in the block store.
    var holdsBlock: Bool {
        switch self {
        case .values, .lines, .encoded: false
        case .block: true
        case .branch(_, let inner), .dynamic(_, let inner): inner.contains(where: \.holdsBlock)
        }
    }

    /// An estimate of the memory held, in bytes: strides for arrays, exact for text and encoded.
    public var byteCount: Int {
        switch self {
        case .values(let values): values.byteCount
        case .lines(let lines): lines.byteCount
        case .encoded(let encoded): encoded.bytes.count
        case .block: 0
        case .branch(_, let inner), .dynamic(_, let inner): inner.reduce(0) { $0 + $1.byteCount }
        }
    }
}

/// A type-erased array of elements: the one conformer is ``Values``.
public protocol PartitionValues: AnyObject, Sendable {
    /// The number of elements.
    var count: Int { get }
    /// An estimate of the memory held, in bytes.
    var byteCount: Int { get }
}

/// Immutable elements of one type, shared by reference.
public final class Values<Element: Sendable>: PartitionValues {
    /// The elements in order.
    public let elements: [Element]

    /// Wraps `elements`; nothing is copied.
    @inlinable
    public init(_ elements: [Element]) { self.elements = elements }

    /// The number of elements.
    public var count: Int { elements.count }

    /// What ``ElementSize`` estimates.
    public var byteCount: Int { ElementSize<Element>.shared.byteCount(of: elements) }
}

/// Elements written by a codec, back to back.
public struct EncodedValues: Sendable, Hashable {
    /// The encoded elements.
    public let bytes: [UInt8]
    /// How many elements `bytes` holds.
    public let count: Int

    /// Makes encoded contents.
    @inlinable
    public init(bytes: [UInt8], count: Int) {
        self.bytes = bytes
        self.count = count
    }
}
