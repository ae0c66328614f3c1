public import BatchEngine

/// Hears what a block generator does, and stores its blocks.
///
/// A receiver with a generator of its own learns here which of its metadata (offsets, delivery
/// tags) went into which block, and acknowledges them once the block is stored.
///
/// ## Ordering
/// `onAddData` and `onGenerateBlock` are called in the order in which data were added and blocks
/// cut: metadata heard before a block's `onGenerateBlock` belong to that block or an earlier one.
/// Blocks are pushed one at a time, in the order in which they were cut.
///
/// ## Isolation
/// The synchronous calls are made by the generator between two of its steps: they must be short and
/// cannot call it back.
public protocol BlockGeneratorListener<Element>: Sendable {
    /// The elements of the blocks.
    associatedtype Element: Sendable
    /// What goes along with elements that are added with metadata.
    associatedtype Metadata: Sendable = [String: String]

    /// Elements were added with metadata; not called for those added without.
    func onAddData(_ elements: [Element], metadata: Metadata)

    /// A block was cut; what is added from now on belongs to later ones.
    func onGenerateBlock(_ id: BlockID)

    /// Stores a block; the next one is pushed after this returns.
    ///
    /// - Throws: when it is not stored: it is lost then, and `onError` is called.
    func onPushBlock(_ block: ReceivedBlock) async throws

    /// A block could not be pushed.
    func onError(_ message: String, _ error: any Error)
}

extension BlockGeneratorListener {
    /// Does nothing.
    public func onAddData(_ elements: [Element], metadata: Metadata) {}
    /// Does nothing.
    public func onGenerateBlock(_ id: BlockID) {}
    /// Does nothing.
    public func onError(_ message: String, _ error: any Error) {}
}
