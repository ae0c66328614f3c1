internal import BatchEngine
public import DStreamCore
internal import JobGeneration
public import ReceiverRuntime

extension StreamingContext {
    /// How a streaming context behaves; every field has Spark's default.
    public struct Configuration: Sendable {
        /// How often a task is tried before its job fails, at least 1.
        ///
        /// Spark's `spark.task.maxFailures`.
        public var maxTaskFailures = 4
        /// Partitions of shuffles that are given none; nil: the engine's slots.
        public var defaultParallelism: Int?
        /// Output operations that run at once, over all batches, at least 1.
        ///
        /// More than 1 breaks their order.
        public var concurrentJobs = 1
        /// What follows when an output operation that does not say it itself, or the generation of
        /// a batch, fails; see ``DStreamCore/OutputOperation/onFailure(retry:then:file:line:)``.
        public var failurePolicy = FailurePolicy.stop
        /// Where dead letters go; nil: into `dead-letters` in the checkpoint directory.
        public var deadLetterDirectory: String?
        /// What becomes of batches whose time passed before they could be generated.
        public var lateBatches = LateBatches.generate
        /// Batches that may wait for their jobs; generation waits beyond, at least 1.
        public var maxQueuedBatches = 1000
        /// How receivers gather, bound and restart; ``blockInterval`` takes the place of its own.
        public var receiver = ReceiverConfiguration(batchInterval: .milliseconds(200))
        /// How long a receiver gathers before it cuts a block; nil: the shorter of 200 ms and the
        /// batch interval.
        public var blockInterval: Duration?
        /// How receiving adapts to processing.
        public var backpressure = Backpressure()
        /// How long a graceful stop may take; nil: ten batch intervals, at least 10 s.
        public var gracefulStopTimeout: Duration?
        /// Whether ``StreamingContext/run()`` drains when it is cancelled; otherwise it ends at
        /// once.
        public var stopsGracefullyOnShutdown = false
        /// Where checkpoints go; nil: ``StreamingContext/checkpoint(_:file:line:)`` says.
        public var checkpointDirectory: String?
        /// How far apart checkpoints are at least, where batches are shorter than that; zero: each
        /// batch has its own.
        ///
        /// A restart runs the batches since the last checkpoint again, also after a stop that was not
        /// graceful: at most those of this time and of one more batch.
        public var checkpointSpacing = Duration.milliseconds(200)
        /// The log of received elements, and whether streams have one that do not say otherwise.
        public var receiverWriteAheadLog = WriteAheadLogSettings()
        /// The log of which elements belong to which batch; there is one where any stream has one.
        public var driverWriteAheadLog = WriteAheadLogSettings()
        /// By which rule file streams find what is new.
        public var fileStreamDetection = FileDetection.byAppearance
        /// How old files may be, and how long their paths are remembered, by
        /// ``DStreamCore/FileDetection/byModificationTime``.
        public var fileStreamMinimumRemember = Duration.seconds(60)

        /// Keys given to ``init(sparkProperties:)`` that are Spark's and have no effect here.
        public internal(set) var keysWithoutEffect: [String] = []

        /// Makes the defaults.
        public init() {}

        /// How a write-ahead log is kept.
        public struct WriteAheadLogSettings: Sendable, Hashable {
            /// Whether there is one.
            public var isEnabled = false
            /// How long a file of the log is written to.
            public var rollingInterval = Duration.seconds(60)
            /// Whether the file is closed after each write.
            public var closeFileAfterWrite = false
            /// How often a write may fail, each time in another file, before it counts as failed;
            /// at least 1.
            public var maxFailures = 3

            /// Makes Spark's defaults.
            public init() {}
        }

        /// The weights with which rates follow what batches can process, Spark's by default.
        public struct PID: Sendable, Hashable {
            /// The weight of the error, 0 or more: 1 follows the processing rate at once.
            public var proportional = 1.0
            /// The weight of the backlog, 0 or more: 0.2 works it off over five batches.
            public var integral = 0.2
            /// The weight of the trend, 0 or more; it amplifies the noise of measurements.
            public var derivative = 0.0
            /// The lowest rate, in records per second, more than 0.
            public var minimumRate = 100.0

            /// Spark's weights.
            public init() {}

            var estimator: PIDRateEstimator.Configuration {
                PIDRateEstimator.Configuration(
                    proportional: proportional, integral: integral, derivative: derivative,
                    minimumRate: minimumRate)
            }
        }

        /// How receiving adapts to processing.
        public struct Backpressure: Sendable, Hashable {
            /// Whether rates follow what the batches can process.
            public var isEnabled = false
            /// The rate before the first estimate, in records per second and receiver; nil: the
            /// receivers' highest.
            public var initialRate: Double?
            /// The weights of the estimator.
            public var pid = PID()

            /// Spark's defaults: off.
            public init() {}
        }

        /// The receivers' configuration for batches of some length.
        func receiver(batchInterval: Duration) -> ReceiverConfiguration {
            var result = receiver
            result.blockInterval = blockInterval ?? min(.milliseconds(200), batchInterval)
            if result.blockInterval >= batchInterval { result.cutGrace = .milliseconds(100) }
            if backpressure.isEnabled, let initial = backpressure.initialRate, initial > 0 {
                // Receivers begin with it: the first elements come before any rate is sent.
                result.rate.initialRate = initial < 1e18 ? max(1, Int64(initial)) : nil
            }
            return result
        }

        /// What cannot work, in words; empty when all is well.
        ///
        /// - Parameter batchInterval: the interval of the context; nil: not known yet.
        func problems(batchInterval: Duration? = nil) -> [StreamError] {
            var problems: [StreamError] = []
            func add(_ message: String) {
                problems.append(StreamError(.badConfiguration, message))
            }
            for (name, value) in [
                ("maxTaskFailures", maxTaskFailures), ("concurrentJobs", concurrentJobs),
                ("maxQueuedBatches", maxQueuedBatches),
                ("receiverWriteAheadLog.maxFailures", receiverWriteAheadLog.maxFailures),
                ("driverWriteAheadLog.maxFailures", driverWriteAheadLog.maxFailures),
                ("defaultParallelism", defaultParallelism ?? 1),
            ] where value < 1 {
                add("\(name) is \(value); it must be at least 1")
            }
            let most = BatchContext.partitionMaximum
            if let count = defaultParallelism, count > most {
                add("defaultParallelism is \(count); it must be at most \(most)")
            }
            if deadLetterDirectory?.isEmpty == true {
                add("deadLetterDirectory is an empty path; name a directory, or leave it nil")
            }
            for (name, value) in [
                ("gracefulStopTimeout", gracefulStopTimeout),
                ("fileStreamMinimumRemember", fileStreamMinimumRemember),
            ] {
                if let value, value <= .zero { add("\(name) is \(value); it must be more than 0") }
            }
            for (name, value) in [
                ("receiverWriteAheadLog", receiverWriteAheadLog.rollingInterval),
                ("driverWriteAheadLog", driverWriteAheadLog.rollingInterval),
            ] where value < .zero {
                add("\(name).rollingInterval is \(value); it must not be less than 0")
            }
            if checkpointSpacing < .zero {
                add("checkpointSpacing is \(checkpointSpacing); it must not be less than 0")
            }
            if let rate = backpressure.initialRate, !(rate > 0 && rate.isFinite) {
                add(
                    "backpressure.initialRate is \(rate); it must be more than 0 and finite, or nil "
                        + "for the receivers' highest rate")
            }
            // A batch interval that cannot work is reported by the graph.
            let interval =
                batchInterval.flatMap { interval in
                    interval > .zero && interval.wholeMilliseconds != nil ? interval : nil
                } ?? .seconds(1)
            do { try receiver(batchInterval: interval).validate() } catch { add(error.message) }
            do {
                _ = try PIDRateEstimator(
                    batchInterval: interval, configuration: backpressure.pid.estimator)
            } catch {
                add("back-pressure: \(error.message)")
            }
            return problems
        }
    }
}
