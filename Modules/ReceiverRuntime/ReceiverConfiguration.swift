internal import DStreamCore

/// How receivers gather, bound and restart; the defaults are Spark's where it has them.
public struct ReceiverConfiguration: Sendable, Hashable {
    /// How long a receiver gathers before it cuts a block; whole milliseconds, more than 0.
    public var blockInterval: Duration
    /// Blocks that may wait to be stored, per receiver.
    public var blockQueueSize = 10
    /// Bytes of blocks that may wait to be stored, per receiver; one block always may.
    public var blockQueueBytes = 40 << 20
    /// Estimated bytes at which a block is cut early, so that a partition stays bounded.
    public var maxBlockBytes = 4 << 20
    /// Elements at which a block is cut early: bounds what the estimate of bytes cannot see.
    public var maxBlockRecords = 1 << 18
    /// Bytes of stored blocks over all receivers, above which storing suspends.
    ///
    /// Counted is what elements take in memory, what metadata take, and 640 bytes for each block, so that
    /// small ones are bounded as well; text counts as the bytes it is kept as. Each receiver
    /// also has what it gathers: ``maxBlockBytes``, ``blockQueueBytes``, and what it has read.
    public var receivedBytesLimit = 512 << 20
    /// The wait before a receiver that failed or ended is started again.
    public var restartDelay = Duration.seconds(2)
    /// Receivers of a context that may have a thread each, at least 1; ``Receiver/mayBlock`` says
    /// which do.
    ///
    /// More are refused at the start. A thread takes 8 MB of addresses, and memory as it uses it.
    public var maxReceiverThreads = 64
    /// Bounds of the rate of each receiver; none by default.
    ///
    /// They hold for whatever a receiver stores, one by one or together: a batch holds at most what
    /// the rate allows for its interval, and one burst. Blocks that had to wait until earlier ones
    /// were stored or released belong to the batch that comes next.
    public var rate = RateLimiter.Configuration()
    /// The longest frame of a raw socket, in bytes.
    ///
    /// Of a longer frame than a block no more is kept than fits into one; only a single element has to
    /// fit into ``receivedBytesLimit``.
    public var rawMaxBlockSizeBytes = 1 << 30

    /// How long after its time a block is cut if no batch has asked for it: where every batch asks,
    /// a timer for each block is for nothing.
    package var cutGrace = Duration.zero

    /// The bounds of the rate, with the burst that they have here.
    var limiterConfiguration: RateLimiter.Configuration {
        var configuration = rate
        configuration.burst = rate.burst ?? blockInterval
        return configuration
    }

    /// Makes Spark's configuration for batches of some length.
    ///
    /// - Parameter batchInterval: the block interval is the shorter of this and 200 ms, so that
    ///   small batches have low latency.
    public init(batchInterval: Duration) {
        blockInterval = min(.milliseconds(200), batchInterval)
    }

    /// Checks all values and their relations.
    ///
    /// - Throws: ``ReceiverError/Code/badConfiguration``, naming the first value that cannot work.
    public func validate() throws(ReceiverError) {
        func require(_ condition: Bool, _ what: String) throws(ReceiverError) {
            if !condition { throw ReceiverError(.badConfiguration, what) }
        }
        try require(
            blockInterval > .zero && blockInterval.wholeMilliseconds != nil,
            "blockInterval \(blockInterval) must be whole milliseconds, more than 0")
        try require(blockQueueSize > 0, "blockQueueSize \(blockQueueSize) must be more than 0")
        try require(blockQueueBytes > 0, "blockQueueBytes \(blockQueueBytes) must be more than 0")
        try require(maxBlockBytes > 0, "maxBlockBytes \(maxBlockBytes) must be more than 0")
        try require(maxBlockRecords > 0, "maxBlockRecords \(maxBlockRecords) must be more than 0")
        try require(
            receivedBytesLimit > 0, "receivedBytesLimit \(receivedBytesLimit) must be more than 0")
        try require(
            maxReceiverThreads > 0, "maxReceiverThreads \(maxReceiverThreads) must be more than 0")
        try require(restartDelay >= .zero, "restartDelay \(restartDelay) must not be below 0")
        for (name, value) in [
            ("rate.maximumRate", rate.maximumRate), ("rate.initialRate", rate.initialRate),
        ] {
            try require(
                (value ?? 1) > 0,
                "\(name) \(value ?? 0) must be more than 0; nil stands for no limit")
        }
        try require(
            (rate.burst ?? .zero) >= .zero,
            "rate.burst \(rate.burst ?? .zero) must not be below 0")
        try require(
            rawMaxBlockSizeBytes > 0 && rawMaxBlockSizeBytes <= Int(Int32.max),
            "rawMaxBlockSizeBytes \(rawMaxBlockSizeBytes) must be from 1 to \(Int32.max)")
    }
}

extension ReceiverConfiguration {
    /// What is wrong with the number of receivers that have a thread each; nil: nothing.
    package func threadProblem(of receivers: [ReceiverRegistration]) -> ReceiverError? {
        let threads = receivers.filter(\.hasThread)
        // A number that cannot work is refused by ``validate()``.
        guard maxReceiverThreads > 0, threads.count > maxReceiverThreads else { return nil }
        let first = threads[maxReceiverThreads]
        return ReceiverError(
            .badConfiguration,
            "\(threads.count) receivers need a thread each, and maxReceiverThreads allows "
                + "\(maxReceiverThreads): \(first.name) of stream \(first.streamID) has none. Raise "
                + "receiver.maxReceiverThreads, or let receivers that never block say so by mayBlock"
        )
    }
}
