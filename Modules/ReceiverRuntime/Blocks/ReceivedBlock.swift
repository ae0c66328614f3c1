public import BatchEngine

/// A block that was cut and is not stored yet.
public struct ReceivedBlock: Sendable {
    /// Its name.
    public let id: BlockID
    /// Its elements, in the order in which they were received.
    public let contents: [PartitionData]
    /// Elements in the block.
    public let recordCount: Int
    /// Estimated bytes in memory.
    public let byteCount: Int
    /// What the receiver says about the block.
    public let metadata: [String: String]

    /// Describes a block.
    public init(
        id: BlockID, contents: [PartitionData], recordCount: Int, byteCount: Int,
        metadata: [String: String] = [:]
    ) {
        self.id = id
        self.contents = contents
        self.recordCount = recordCount
        self.byteCount = byteCount
        self.metadata = metadata
    }

    /// The elements as one array, for listeners that store a block themselves.
    ///
    /// Pieces that hold elements of another type are dropped.
    ///
    /// - Complexity: linear in the elements.
    public func elements<Element: Sendable>(of type: Element.Type) -> [Element] {
        var elements: [Element] = []
        elements.reserveCapacity(recordCount)
        for piece in contents {
            switch piece {
            case .values(let values):
                if let values = values as? Values<Element> { elements += values.elements }
            case .lines(let lines):
                if let lines = lines.lines as? [Element] { elements += lines }
            default: break
            }
        }
        return elements
    }
}
