/// The name of something in a block store.
public enum BlockID: Sendable, Hashable, CustomStringConvertible {
    /// A received block: the stream it came from and the receiver's own number for it.
    case input(stream: Int, Int64)
    /// A partition of a kept dataset.
    case dataset(DatasetID, partition: Int)

    /// The name as Spark prints it: `input-0-1000`, `rdd_7_0`.
    public var description: String {
        switch self {
        case .input(let stream, let number): "input-\(stream)-\(number)"
        case .dataset(let id, let partition): "\(id)_\(partition)"
        }
    }
}
