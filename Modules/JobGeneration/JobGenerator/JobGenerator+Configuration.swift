public import DStreamCore

extension JobGenerator {
    /// How a generator works.
    public struct Configuration: Sendable, Hashable {
        /// The application's name, for checkpoints.
        public var appName: String
        /// What follows when a batch cannot be generated and no output operation keeps a dead
        /// letter of it.
        public var failurePolicy: FailurePolicy
        /// What becomes of late batches.
        public var lateBatches: LateBatches
        /// How many job sets may be submitted and not ended; generation waits beyond that.
        ///
        /// A value below 1 counts as 1. The default bounds memory where jobs are slower than batches.
        public var maxQueuedBatches: Int
        /// How many failed batches are kept for a re-run.
        ///
        /// Beyond that the oldest is given up for good and reported. A value below 1 counts as 1. The
        /// default bounds the blocks that are kept for them.
        public var maxFailedBatches: Int
        /// How many batches may complete without a checkpoint that says so, at least 1.
        ///
        /// Until then what a checkpoint needs stays in memory. Beyond that generation waits for the
        /// checkpoint under way, and ends as under `.stop` when it cannot be written.
        public var maxBatchesWithoutCheckpoint = 1000
        /// How far apart checkpoints are at least, where batches are shorter than that.
        ///
        /// Until the next one, what a restart needs stays in memory; zero: each batch has its own.
        public var checkpointSpacing = Duration.zero
        /// What checkpoints say about how the program was configured.
        public var settings: [String: String] = [:]

        /// Makes a configuration.
        public init(
            appName: String, failurePolicy: FailurePolicy = .stop,
            lateBatches: LateBatches = .generate, maxQueuedBatches: Int = 1000,
            maxFailedBatches: Int = 1000
        ) {
            self.appName = appName
            self.failurePolicy = failurePolicy
            self.lateBatches = lateBatches
            self.maxQueuedBatches = maxQueuedBatches
            self.maxFailedBatches = maxFailedBatches
        }
    }
}
