internal import DStreamCore
internal import JobGeneration
internal import ReceiverRuntime

extension StreamingContext.Configuration {
    /// Reads Spark's own keys, `spark.streaming.*` and a few others, with Spark's meaning.
    ///
    /// - Parameter properties: key and value as in `spark-defaults.conf`.
    /// - Throws: ``DStreamCore/StreamError`` `.badConfiguration` naming every unknown
    ///   `spark.streaming.*` key with its nearest match, and every value that cannot be read. Keys
    ///   outside `spark.streaming.` that we do not know are ignored.
    public init(sparkProperties properties: [String: String]) throws {
        self.init()
        var problems: [StreamError] = []
        // The old name of a key comes first, so that the new one counts when both are given.
        let sorted = properties.sorted { first, second in
            let isOld = (first.key == Self.oldRememberKey, second.key == Self.oldRememberKey)
            return isOld.0 != isOld.1 ? isOld.0 : first.key < second.key
        }
        for (key, value) in sorted {
            if let apply = Self.keys[key] {
                if let reason = apply(&self, Self.trimmed(value)) {
                    problems.append(
                        StreamError(.badConfiguration, "\(key) = \"\(value)\": \(reason)"))
                }
            } else if Self.keysWithoutMeaning.contains(key) || Self.isConnectorKey(key) {
                keysWithoutEffect.append(key)
            } else if key.hasPrefix("spark.streaming.") {
                let near = Self.nearest(to: key).map { "; did you mean \($0)?" } ?? ""
                problems.append(StreamError(.badConfiguration, "unknown key \(key)\(near)"))
            }
        }
        problems += self.problems()
        if let error = StreamError.gathering(problems) { throw error }
    }

    /// Sets one field from text; returns what is wrong with the text.
    private typealias Apply = @Sendable (inout StreamingContext.Configuration, String) -> String?

    private static let oldRememberKey = "spark.streaming.minRememberDuration"

    private static let keys: [String: Apply] = [
        "spark.task.maxFailures": integer { $0.maxTaskFailures = $1 },
        "spark.default.parallelism": integer { $0.defaultParallelism = $1 },
        "spark.streaming.concurrentJobs": integer { $0.concurrentJobs = $1 },
        "spark.streaming.blockInterval": duration(unit: .milliseconds(1)) {
            $0.blockInterval = $1
        },
        "spark.streaming.blockQueueSize": integer { $0.receiver.blockQueueSize = $1 },
        "spark.streaming.receiverRestartDelay": duration(unit: .milliseconds(1)) {
            $0.receiver.restartDelay = $1
        },
        "spark.streaming.receiver.maxRate": rate {
            $0.receiver.rate.maximumRate = $1
        },
        "spark.streaming.raw.maxBlockSizeBytes": bytes { $0.receiver.rawMaxBlockSizeBytes = $1 },
        "spark.streaming.backpressure.enabled": boolean { $0.backpressure.isEnabled = $1 },
        "spark.streaming.backpressure.initialRate": rate {
            $0.backpressure.initialRate = $1.map { Double($0) }
        },
        "spark.streaming.backpressure.rateEstimator": { _, value in
            value == "pid" ? nil : "only pid exists"
        },
        "spark.streaming.backpressure.pid.proportional": number {
            $0.backpressure.pid.proportional = $1
        },
        "spark.streaming.backpressure.pid.integral": number { $0.backpressure.pid.integral = $1 },
        "spark.streaming.backpressure.pid.derived": number { $0.backpressure.pid.derivative = $1 },
        "spark.streaming.backpressure.pid.minRate": number { $0.backpressure.pid.minimumRate = $1 },
        "spark.streaming.gracefulStopTimeout": duration(unit: .milliseconds(1)) {
            $0.gracefulStopTimeout = $1
        },
        "spark.streaming.stopGracefullyOnShutdown": boolean { $0.stopsGracefullyOnShutdown = $1 },
        "spark.streaming.checkpoint.directory": { configuration, value in
            configuration.checkpointDirectory = value
            return nil
        },
        "spark.streaming.receiver.writeAheadLog.enable": boolean {
            $0.receiverWriteAheadLog.isEnabled = $1
        },
        "spark.streaming.receiver.writeAheadLog.rollingIntervalSecs": integer {
            $0.receiverWriteAheadLog.rollingInterval = .seconds($1)
        },
        "spark.streaming.receiver.writeAheadLog.maxFailures": integer {
            $0.receiverWriteAheadLog.maxFailures = $1
        },
        "spark.streaming.receiver.writeAheadLog.closeFileAfterWrite": boolean {
            $0.receiverWriteAheadLog.closeFileAfterWrite = $1
        },
        "spark.streaming.driver.writeAheadLog.rollingIntervalSecs": integer {
            $0.driverWriteAheadLog.rollingInterval = .seconds($1)
        },
        "spark.streaming.driver.writeAheadLog.maxFailures": integer {
            $0.driverWriteAheadLog.maxFailures = $1
        },
        "spark.streaming.driver.writeAheadLog.closeFileAfterWrite": boolean {
            $0.driverWriteAheadLog.closeFileAfterWrite = $1
        },
        "spark.streaming.fileStream.minRememberDuration": duration(unit: .seconds(1)) {
            $0.fileStreamMinimumRemember = $1
        },
        oldRememberKey: duration(unit: .seconds(1)) {
            $0.fileStreamMinimumRemember = $1
        },
    ]

    /// Keys of Spark's core that have no effect here (yet), and are no typing errors.
    private static let keysWithoutMeaning: Set<String> = [
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
        "spark.streaming.internal.outputOpId",
    ]

    /// Keys of connectors, which read them themselves.
    private static func isConnectorKey(_ key: String) -> Bool {
        ["spark.streaming.kafka.", "spark.streaming.kinesis."].contains(where: key.hasPrefix)
    }

    private static func nearest(to key: String) -> String? {
        let candidates = (Array(keys.keys) + keysWithoutMeaning).map { ($0, editDistance($0, key)) }
        guard let best = candidates.min(by: { ($0.1, $0.0) < ($1.1, $1.0) }) else { return nil }
        return best.1 <= max(3, key.utf8.count / 4) ? best.0 : nil
    }
}

// MARK: - Reading values

extension StreamingContext.Configuration {
    private static func integer(
        _ set: @escaping @Sendable (inout Self, Int) -> Void
    ) -> Apply {
        { configuration, text in
            guard let value = Int(text) else { return "not a whole number" }
            set(&configuration, value)
            return nil
        }
    }

    private static func number(
        _ set: @escaping @Sendable (inout Self, Double) -> Void
    ) -> Apply {
        { configuration, text in
            guard let value = Double(text), value.isFinite else { return "not a number" }
            set(&configuration, value)
            return nil
        }
    }

    private static func boolean(_ set: @escaping @Sendable (inout Self, Bool) -> Void) -> Apply {
        { configuration, text in
            guard let value = Bool(text.lowercased()) else { return "neither true nor false" }
            set(&configuration, value)
            return nil
        }
    }

    /// A rate: values that are not positive mean none, as in Spark.
    private static func rate(_ set: @escaping @Sendable (inout Self, Int64?) -> Void) -> Apply {
        { configuration, text in
            guard let value = Int64(text) else { return "not a whole number" }
            set(&configuration, value > 0 && value < .max ? value : nil)
            return nil
        }
    }

    private static func duration(
        unit: Duration, _ set: @escaping @Sendable (inout Self, Duration) -> Void
    ) -> Apply {
        { configuration, original in
            let text = original.lowercased()
            let units: [(String, Duration)] = [
                ("us", .microseconds(1)), ("ms", .milliseconds(1)), ("min", .seconds(60)),
                ("s", .seconds(1)), ("m", .seconds(60)), ("h", .seconds(3600)),
                ("d", .seconds(86400)), ("", unit),
            ]
            for (suffix, unit) in units where text.hasSuffix(suffix) {
                guard let count = Int64(text.dropLast(suffix.count)), count.magnitude < 1 << 40
                else { continue }
                set(&configuration, unit * count)
                return nil
            }
            return "not a duration such as 200ms or 2s"
        }
    }

    private static func bytes(_ set: @escaping @Sendable (inout Self, Int) -> Void) -> Apply {
        { configuration, original in
            let text = original.lowercased()
            let units = [
                ("kb", 10), ("k", 10), ("mb", 20), ("m", 20), ("gb", 30), ("g", 30), ("tb", 40),
                ("t", 40), ("pb", 50), ("p", 50), ("b", 0), ("", 0),
            ]
            for (suffix, shift) in units where text.hasSuffix(suffix) {
                guard let count = Int(text.dropLast(suffix.count)) else { continue }
                let (value, isTooLarge) = count.multipliedReportingOverflow(by: 1 << shift)
                if isTooLarge { continue }
                set(&configuration, value)
                return nil
            }
            return "not a size such as 64m or 1g"
        }
    }

    /// The text without white space at its ends.
    private static func trimmed(_ text: String) -> String {
        let rest = text.drop(while: \.isWhitespace)
        guard let last = rest.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(rest[...last])
    }

    /// The number of single-letter edits between two words.
    private static func editDistance(_ first: String, _ second: String) -> Int {
        let first = Array(first.utf8)
        let second = Array(second.utf8)
        var row = Array(0...second.count)
        for (line, letter) in first.enumerated() {
            var diagonal = row[0]
            row[0] = line + 1
            for (column, other) in second.enumerated() {
                let replaced = diagonal + (letter == other ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
            }
        }
        return row[second.count]
    }
}
