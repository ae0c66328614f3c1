import BatchEngine
import DStreamCore
import DStreamTestKit
import StreamingContext
import Synchronization

/// The pipelines of the probe.
enum Pipelines {
    static func build(_ name: String, on ssc: StreamingContext) throws {
        switch name {
        case "everything": everything(ssc)
        case "poison": poison(ssc)
        case "hang": hang(ssc)
        case "throwing": throwing(ssc)
        case "chatty": chatty(ssc)
        case "sums": sums(ssc)
        case "bodies": bodies(ssc)
        case "codecs": codecs(ssc)
        case "other-graph": otherGraph(ssc)
        case "garbage": throwing(ssc)
        case "restart": try restart(ssc)
        case "slow-build": slowBuild(ssc)
        case "letters": letters(ssc)
        case "received": try received(ssc)
        default: throw ProbeError("there is no pipeline \"\(name)\"")
        }
    }

    /// Words that depend on the batch alone.
    private static func words(_ ssc: StreamingContext) -> DStream<String> {
        ssc.graph.inputStream("words", isReplayable: true) { time, context in
            var hash = StableHasher()
            hash.combine(hash: UInt64(bitPattern: time.milliseconds))
            let seed = hash.finish()
            let words = (0..<40).map { "w\((seed >> UInt64($0)) % 23)" }
            return context.batch.parallelize(words, partitions: 3)
        }
    }

    /// Windows of both kinds, state of both kinds, a join, a shuffle by hand and kept streams.
    private static func everything(_ ssc: StreamingContext) {
        let words = words(ssc)
        let ones = words.map { ($0, 1) }
        let counts = ones.reduceByKey(+).cache()
        Probe.record("counts", counts)
        Probe.record(
            "inverse",
            ones.reduceByKeyAndWindow({ $0 + $1 }, inverse: { $0 - $1 }, window: .seconds(4)))
        Probe.record("window", ones.reduceByKeyAndWindow({ max($0, $1) }, window: .seconds(6)))
        Probe.record("union", words.window(.seconds(2), slide: .seconds(2)).map { $0 + "!" })
        let running: MapWithStateDStream<String, Int, (String, Int)> = ones.mapWithState(
            StateSpec.function { (key: String, one: Int?, state: State<Int>) in
                if state.isTimingOut { return (key, -1) }
                let sum = (state.getOption() ?? 0) + (one ?? 0)
                if sum > 40 { try state.remove() } else { try state.update(sum) }
                return (key, sum)
            }.timeout(.seconds(2)))
        Probe.record("running", running.mapped)
        Probe.record("snapshot", running.stateSnapshots())
        Probe.record(
            "updated",
            ones.updateStateByKey { (new: [Int], old: Int?) in
                let sum = new.reduce(old ?? 0, +)
                return sum % 7 == 0 ? nil : sum
            })
        Probe.record("joined", counts.join(ones.groupByKey()).mapValues { ($0.0, $0.1.count) })
        Probe.record("dealt", words.repartition(3).countByValue())
        words.count().print()
    }

    /// A trap at one record of the third batch.
    private static func poison(_ ssc: StreamingContext) {
        let lengths = numbers(ssc).map { number in
            let table = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
            return table[number == 30 ? 99 : number % 10]
        }
        Probe.record("lengths", lengths.map { ($0, 1) }.reduceByKey(+))
    }

    /// The same trap, under the policy that keeps dead letters.
    private static func letters(_ ssc: StreamingContext) {
        let lengths = numbers(ssc).map { number in
            let table = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
            return table[number == 30 ? 99 : number % 10]
        }
        lengths.foreachRDD { rdd, time in
            let sum = try await rdd.collect().reduce(0, +)
            Probe.outputs.withLock { $0.append("lengths \(time.milliseconds) \(sum)") }
        }.onFailure(then: .deadLetter)
    }

    /// Numbers of a source that asks for acknowledgements: all of them, and each once.
    private static func received(_ ssc: StreamingContext) throws {
        let last = try Probe.settings.number("last", default: 1)
        let receiver = AcknowledgingReceiver(
            port: try Probe.settings.number("port", default: 1),
            trapping: try Probe.settings.number("trap", default: 0))
        let numbers = ssc.receiverStream(receiver, protection: .replicated)
        numbers.foreachRDD { rdd, time in
            let elements = try await rdd.collect()
            if elements.isEmpty { return }
            let text = elements.map { "\($0)" }.joined(separator: " ")
            Probe.outputs.withLock { $0.append("all \(text)") }
        }
        let once: MapWithStateDStream<Int, Int, Int?> = numbers.map { ($0, 1) }.mapWithState(
            StateSpec.function { (number: Int, one: Int?, state: State<Int>) in
                if state.exists { return nil }
                try state.update(1)
                return number
            })
        once.mapped.foreachRDD { rdd, time in
            let elements = try await rdd.collect().compactMap { $0 }
            if elements.isEmpty { return }
            let text = elements.map { "\($0)" }.joined(separator: " ")
            Probe.outputs.withLock { $0.append("once \(text)") }
            if elements.contains(last) { Probe.lastNumber.open() }
        }
    }

    /// A closure that never returns at one record of the third batch.
    private static func hang(_ ssc: StreamingContext) {
        Probe.record(
            "slow",
            numbers(ssc).map { number in
                // An empty loop would be left out of a release build.
                while number == 30 { SystemThread.pause(microseconds: 1000) }
                return number
            })
    }

    /// An error thrown at one record of the third batch.
    private static func throwing(_ ssc: StreamingContext) {
        Probe.record(
            "numbers",
            numbers(ssc).map { number in
                if number == 30 { throw ProbeError("30 is no good") }
                return number
            })
    }

    /// Tasks that print megabytes.
    private static func chatty(_ ssc: StreamingContext) {
        Probe.record(
            "numbers",
            numbers(ssc).map { number in
                print(String(repeating: "chatter ", count: 20_000))
                ProcessOutput.writeStandardError(String(repeating: "noise ", count: 50_000))
                return number
            })
    }

    /// A broadcast value, and a sum that tasks add to.
    private static func sums(_ ssc: StreamingContext) {
        let factor = ssc.batchContext.broadcast(3)
        let sum = Accumulator<Int>()
        let scaled = numbers(ssc).map { number in
            sum.add(number)
            return number * factor.value
        }
        scaled.foreachRDD { rdd, time in
            let elements = try await rdd.collect()
            Probe.outputs.withLock { $0.append("\(time.milliseconds) \(elements) \(sum.value)") }
        }
    }

    /// Stages that are made in bodies.
    private static func bodies(_ ssc: StreamingContext) {
        Probe.record(
            "bodies",
            numbers(ssc).transform { rdd in rdd.map { ($0 % 3, 1) }.reduceByKey(+) }
                .map { "\($0.0): \($0.1)" })
    }

    private struct NoCodec: Sendable { let number: Int }

    /// Boundaries without codec: what a shuffle takes, and what a state is.
    private static func codecs(_ ssc: StreamingContext) {
        numbers(ssc).map { ($0 % 3, NoCodec(number: $0)) }.groupByKey().count().print()
        numbers(ssc).map { ($0 % 3, $0) }.mapWithState(
            StateSpec.function { (key: Int, _: Int?, state: State<NoCodec>) in
                try state.update(NoCodec(number: key))
                return key
            }
        ).print()
    }

    /// Another graph in every process.
    private static func otherGraph(_ ssc: StreamingContext) {
        let numbers = numbers(ssc)
        if Probe.isWorker {
            numbers.map { "\($0)" }.print()
        } else {
            numbers.filter { $0 > 0 }.print()
        }
    }

    /// A worker that ends at its first task, and one after it that ends before it is one.
    private static func restart(_ ssc: StreamingContext) throws {
        if Probe.isWorker {
            let folder = Probe.settings.text("folder")
            let started = try FileSystem.list(folder).count
            try FileSystem.createDirectory("\(folder)/\(started)")
            if started == 1 { ChildProcess.leave(7) }
        }
        let pairs = numbers(ssc).map { number in
            if number == 10, TaskContext.current?.attempt == 0 { ChildProcess.leave(7) }
            return (number % 3, 1)
        }
        Probe.record("restart", pairs.reduceByKey(+))
    }

    /// A graph that takes a worker for ever.
    private static func slowBuild(_ ssc: StreamingContext) {
        throwing(ssc)
        guard Probe.isWorker else { return }
        ProcessOutput.writeStandardOutput("BUILDING\n")
        while true { SystemThread.pause(microseconds: 100_000) }
    }

    private static func numbers(_ ssc: StreamingContext) -> DStream<Int> {
        ssc.graph.inputStream("numbers", isReplayable: true) { time, context in
            let first = Int(time.milliseconds) / 100
            return context.batch.parallelize(first..<first + 6, partitions: 2)
        }
    }
}
