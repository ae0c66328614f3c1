import DStreamCore
import DStreamTestKit
import ReceiverRuntime
import StreamingContext
import Testing

@Suite("Spark's own keys", .timeLimit(.minutes(5)))
struct SparkKeysTests {
    typealias Configuration = StreamingContext.Configuration

    private func problems(_ properties: [String: String]) throws -> [StreamError] {
        let error = #expect(throws: StreamError.self) {
            _ = try Configuration(sparkProperties: properties)
        }
        let found = try #require(error)
        return found.parts.isEmpty ? [found] : found.parts
    }

    /// Key, value, and what must be so afterwards.
    static let known: [(String, String, @Sendable (Configuration) -> Bool)] = [
        ("spark.task.maxFailures", "7", { $0.maxTaskFailures == 7 }),
        ("spark.default.parallelism", "3", { $0.defaultParallelism == 3 }),
        ("spark.streaming.concurrentJobs", "2", { $0.concurrentJobs == 2 }),
        ("spark.streaming.blockInterval", "50ms", { $0.blockInterval == .milliseconds(50) }),
        ("spark.streaming.blockQueueSize", "4", { $0.receiver.blockQueueSize == 4 }),
        (
            "spark.streaming.receiverRestartDelay", "500",
            { $0.receiver.restartDelay == .milliseconds(500) }
        ),
        ("spark.streaming.receiver.maxRate", "100", { $0.receiver.rate.maximumRate == 100 }),
        (
            "spark.streaming.raw.maxBlockSizeBytes", "64m",
            { $0.receiver.rawMaxBlockSizeBytes == 64 << 20 }
        ),
        ("spark.streaming.backpressure.enabled", "true", { $0.backpressure.isEnabled }),
        (
            "spark.streaming.backpressure.initialRate", "250",
            { $0.backpressure.initialRate == 250 }
        ),
        ("spark.streaming.backpressure.rateEstimator", "pid", { _ in true }),
        (
            "spark.streaming.backpressure.pid.proportional", "0.5",
            { $0.backpressure.pid.proportional == 0.5 }
        ),
        (
            "spark.streaming.backpressure.pid.integral", "0.1",
            { $0.backpressure.pid.integral == 0.1 }
        ),
        (
            "spark.streaming.backpressure.pid.derived", "0.3",
            { $0.backpressure.pid.derivative == 0.3 }
        ),
        (
            "spark.streaming.backpressure.pid.minRate", "5",
            { $0.backpressure.pid.minimumRate == 5 }
        ),
        ("spark.streaming.gracefulStopTimeout", "30s", { $0.gracefulStopTimeout == .seconds(30) }),
        ("spark.streaming.stopGracefullyOnShutdown", "true", { $0.stopsGracefullyOnShutdown }),
        ("spark.streaming.checkpoint.directory", "/a/B", { $0.checkpointDirectory == "/a/B" }),
        (
            "spark.streaming.fileStream.minRememberDuration", "90",
            { $0.fileStreamMinimumRemember == .seconds(90) }
        ),
        (
            "spark.streaming.minRememberDuration", "2min",
            { $0.fileStreamMinimumRemember == .seconds(120) }
        ),
        (
            "spark.streaming.receiver.writeAheadLog.enable", "true",
            { $0.receiverWriteAheadLog.isEnabled }
        ),
        (
            "spark.streaming.receiver.writeAheadLog.rollingIntervalSecs", "7",
            { $0.receiverWriteAheadLog.rollingInterval == .seconds(7) }
        ),
        (
            "spark.streaming.receiver.writeAheadLog.maxFailures", "5",
            { $0.receiverWriteAheadLog.maxFailures == 5 }
        ),
        (
            "spark.streaming.driver.writeAheadLog.maxFailures", "6",
            { $0.driverWriteAheadLog.maxFailures == 6 }
        ),
        (
            "spark.streaming.receiver.writeAheadLog.closeFileAfterWrite", "true",
            { $0.receiverWriteAheadLog.closeFileAfterWrite }
        ),
        (
            "spark.streaming.driver.writeAheadLog.rollingIntervalSecs", "8",
            { $0.driverWriteAheadLog.rollingInterval == .seconds(8) }
        ),
        (
            "spark.streaming.driver.writeAheadLog.closeFileAfterWrite", "true",
            { $0.driverWriteAheadLog.closeFileAfterWrite }
        ),
    ]

    @Test("set what they set in Spark", arguments: known.indices)
    func settings(index: Int) throws {
        let (key, value, isSet) = Self.known[index]
        let configuration = try Configuration(sparkProperties: [key: value])
        #expect(isSet(configuration), "\(key)")
        #expect(configuration.keysWithoutEffect.isEmpty)
    }

    @Test("that have no effect here are listed, and said")
    func withoutEffect() throws {
        let keys = [
            "spark.streaming.receiver.blockStoreTimeout",
            "spark.streaming.receiver.writeAheadLog.class",
            "spark.streaming.driver.writeAheadLog.class",
            "spark.streaming.driver.writeAheadLog.allowBatching",
            "spark.streaming.driver.writeAheadLog.batchingTimeout",
            "spark.streaming.unpersist", "spark.streaming.stopSparkContextByDefault",
            "spark.streaming.sessionByKey.deltaChainThreshold", "spark.streaming.extraListeners",
            "spark.streaming.ui.retainedBatches", "spark.streaming.dynamicAllocation.enabled",
            "spark.streaming.dynamicAllocation.testing",
            "spark.streaming.dynamicAllocation.minExecutors",
            "spark.streaming.dynamicAllocation.maxExecutors",
            "spark.streaming.dynamicAllocation.scalingInterval",
            "spark.streaming.dynamicAllocation.scalingUpRatio",
            "spark.streaming.dynamicAllocation.scalingDownRatio", "spark.streaming.clock",
            "spark.streaming.manualClock.jump", "spark.streaming.internal.batchTime",
            "spark.streaming.internal.outputOpId", "spark.streaming.kafka.maxRatePerPartition",
            "spark.streaming.kafka.minRatePerPartition",
            "spark.streaming.kafka.consumer.cache.enabled",
            "spark.streaming.kafka.consumer.cache.initialCapacity",
            "spark.streaming.kafka.consumer.cache.maxCapacity",
            "spark.streaming.kafka.consumer.cache.loadFactor",
            "spark.streaming.kafka.consumer.poll.ms",
            "spark.streaming.kafka.allowNonConsecutiveOffsets",
            "spark.streaming.kafka.maxRetries", "spark.streaming.kinesis.retry.waitTime",
            "spark.streaming.kinesis.retry.maxAttempts",
        ]
        let configuration = try Configuration(
            sparkProperties: Dictionary(uniqueKeysWithValues: keys.map { ($0, "x") }))
        #expect(configuration.keysWithoutEffect == keys.sorted())
        let logger = LineLogger()
        var components = StreamingContext.Components()
        components.logger = logger
        _ = StreamHarness(configuration: configuration, components: components)
        #expect(logger.lines.all.count == 1)
        #expect(logger.lines.all[0].contains("writeAheadLog.class"))
    }

    @Test("outside spark.streaming are nobody's business here")
    func others() throws {
        let configuration = try Configuration(
            sparkProperties: ["spark.master": "local[4]", "spark.app.name": "x", "other": ""])
        #expect(configuration.keysWithoutEffect.isEmpty)
    }

    @Test(
        "that nobody knows are refused, with the nearest that is known",
        arguments: [
            ("spark.streaming.blockInterva", "spark.streaming.blockInterval"),
            ("spark.streaming.backpresure.enabled", "spark.streaming.backpressure.enabled"),
            ("spark.streaming.concurrentjobs", "spark.streaming.concurrentJobs"),
            (
                "spark.streaming.receiver.writeAheadLog.enabled",
                "spark.streaming.receiver.writeAheadLog.enable"
            ),
        ])
    func unknown(key: String, near: String) throws {
        let found = try problems([key: "1"])
        #expect(found.map(\.code) == [.badConfiguration])
        #expect(found[0].message == "unknown key \(key); did you mean \(near)?")
    }

    @Test("that resemble nothing are refused without advice")
    func unlike() throws {
        let found = try problems(["spark.streaming.z": "1"])
        #expect(found.map(\.message) == ["unknown key spark.streaming.z"])
    }

    @Test(
        "with values that cannot be read are refused, all together",
        arguments: [
            ("spark.streaming.blockInterval", "fast"), ("spark.streaming.blockInterval", "1.5s"),
            ("spark.streaming.blockInterval", "-9223372036854775808"),
            ("spark.streaming.blockInterval", "9223372036854775807d"),
            ("spark.streaming.blockInterval", "0"), ("spark.streaming.blockInterval", "-5ms"),
            ("spark.streaming.blockInterval", ""), ("spark.streaming.blockInterval", "ms"),
            ("spark.streaming.concurrentJobs", "0"), ("spark.streaming.concurrentJobs", "1x"),
            ("spark.streaming.concurrentJobs", "99999999999999999999"),
            ("spark.streaming.backpressure.enabled", "yes"),
            ("spark.streaming.backpressure.rateEstimator", "fuzzy"),
            ("spark.streaming.backpressure.pid.integral", "nan"),
            ("spark.streaming.backpressure.pid.integral", "-1"),
            ("spark.streaming.backpressure.pid.minRate", "0"),
            ("spark.streaming.receiver.maxRate", "many"),
            ("spark.streaming.raw.maxBlockSizeBytes", "64q"),
            ("spark.streaming.raw.maxBlockSizeBytes", "99999999999p"),
            ("spark.streaming.raw.maxBlockSizeBytes", "-1k"),
            ("spark.streaming.gracefulStopTimeout", "0"), ("spark.task.maxFailures", "0"),
        ])
    func malformed(key: String, value: String) throws {
        let found = try problems([key: value, "spark.streaming.bad": "", "spark.x": "y"])
        #expect(found.map(\.code) == [.badConfiguration, .badConfiguration])
    }

    @Test("name the value that cannot be read")
    func named() throws {
        let found = try problems(["spark.streaming.blockInterval": "fast"])
        #expect(
            found.map(\.message) == [
                "spark.streaming.blockInterval = \"fast\": not a duration such as 200ms or 2s"
            ])
    }

    @Test(
        "read units as Spark does",
        arguments: [
            ("200", .milliseconds(200)), ("1s", .seconds(1)), ("2000US", .milliseconds(2)),
            (" 5 ms".replacing(" ", with: ""), .milliseconds(5)), (" 3m ", .seconds(180)),
            ("1h", .seconds(3600)), ("1D", .seconds(86400)), ("2min", .seconds(120)),
        ] as [(String, Duration)])
    func units(text: String, duration: Duration) throws {
        let configuration = try Configuration(
            sparkProperties: ["spark.streaming.blockInterval": text])
        #expect(configuration.blockInterval == duration)
    }

    @Test(
        "read sizes as Spark does",
        arguments: [
            ("100", 100), ("7b", 7), ("2K", 2048), ("3kb", 3072), ("1m", 1 << 20), ("1G", 1 << 30),
        ])
    func sizes(text: String, bytes: Int) throws {
        let configuration = try Configuration(
            sparkProperties: ["spark.streaming.raw.maxBlockSizeBytes": text])
        #expect(configuration.receiver.rawMaxBlockSizeBytes == bytes)
    }

    @Test(
        "take rates that are not positive, or the highest, as none",
        arguments: ["0", "-1", "9223372036854775807"])
    func noRate(text: String) throws {
        let configuration = try Configuration(sparkProperties: [
            "spark.streaming.receiver.maxRate": text,
            "spark.streaming.backpressure.initialRate": text,
        ])
        #expect(configuration.receiver.rate.maximumRate == nil)
        #expect(configuration.backpressure.initialRate == nil)
    }

    @Test("take the highest rate but one as it is")
    func highRate() async throws {
        let configuration = try Configuration(sparkProperties: [
            "spark.streaming.receiver.maxRate": "9223372036854775806",
            "spark.streaming.backpressure.initialRate": "9223372036854775806",
            "spark.streaming.backpressure.enabled": "TRUE",
        ])
        #expect(configuration.receiver.rate.maximumRate == Int64.max - 1)
        let harness = StreamHarness(configuration: configuration)
        _ = harness.record(harness.ssc.receiverStream(Feed<Int>()))
        try await harness.run(batches: 1)
        #expect(harness.errors.isEmpty)
    }

    @Test("count under their new name where both are given")
    func alias() throws {
        let configuration = try Configuration(sparkProperties: [
            "spark.streaming.minRememberDuration": "10s",
            "spark.streaming.fileStream.minRememberDuration": "20s",
        ])
        #expect(configuration.fileStreamMinimumRemember == .seconds(20))
    }

    @Test("left out have Spark's defaults")
    func defaults() throws {
        let configuration = try Configuration(sparkProperties: [:])
        #expect(configuration.maxTaskFailures == 4 && configuration.concurrentJobs == 1)
        #expect(configuration.blockInterval == nil && configuration.gracefulStopTimeout == nil)
        #expect(configuration.receiver.blockInterval == .milliseconds(200))
        #expect(configuration.receiver.blockQueueSize == 10)
        #expect(configuration.receiver.restartDelay == .seconds(2))
        #expect(configuration.receiver.rate.maximumRate == nil)
        #expect(configuration.receiver.rawMaxBlockSizeBytes == 1 << 30)
        #expect(!configuration.backpressure.isEnabled)
        #expect(configuration.backpressure.initialRate == nil)
        let pid = configuration.backpressure.pid
        #expect(pid.proportional == 1 && pid.integral == 0.2 && pid.derivative == 0)
        #expect(pid.minimumRate == 100)
        #expect(!configuration.stopsGracefullyOnShutdown)
        #expect(configuration.fileStreamMinimumRemember == .seconds(60))
    }
}
