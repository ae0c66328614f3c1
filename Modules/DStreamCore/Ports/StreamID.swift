/// The number of an input stream within its context.
///
/// Streams are numbered from 0 in the order of their declaration, so the same program gives the same
/// numbers each time it is built.
public struct StreamID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The number itself.
    public let rawValue: Int

    /// Creates an identifier from a number.
    @inlinable
    public init(_ rawValue: Int) {
        self.rawValue = rawValue
    }

    /// The number as text.
    public var description: String { String(rawValue) }

    /// Whether the first stream was declared before the second.
    @inlinable
    public static func < (left: StreamID, right: StreamID) -> Bool {
        left.rawValue < right.rawValue
    }
}
