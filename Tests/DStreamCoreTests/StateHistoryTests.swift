import BatchEngine
import DStreamCore
import DStreamTestKit
import Testing

/// One history of random batches, some of which fail.
private struct History {
    /// Makes the function throw, always.
    static let poison = 1000
    /// Makes the function throw at the first try.
    static let flaky = 2000

    var random: SeededRandom
    var batches: [[(String, Int)]?] = []
    let partitions: Int
    let initial: [(String, Int)]?
    let seed: Int
    let keyCount: Int
    let mayOvertake: Bool

    init(seed: Int, fails: Bool = true) {
        self.seed = seed
        mayOvertake = !fails && seed % 2 == 1
        var random = SeededRandom(seed)
        let keys = random.int(1...12)
        keyCount = keys
        for _ in 0..<random.int(8...24) {
            if random.chance(12) {
                batches.append(nil)
                continue
            }
            var records = (0..<random.int(0...14)).map { _ in
                ("k\(random.int(1...keys))", random.int(-4...9))
            }
            let place = random.int(0...records.count)
            if fails, random.chance(12) {
                records.insert(("k\(random.int(1...keys))", Self.poison), at: place)
            } else if fails, random.chance(15) {
                records.insert(("k\(random.int(1...keys))", Self.flaky), at: place)
            }
            batches.append(records)
        }
        partitions = random.int(1...4)
        initial =
            random.chance(40)
            ? (0..<random.int(0...6)).map { ("k\(random.int(1...keys))", $0) } : nil
        self.random = random
    }

    /// Where keys are that are not dealt out by their hashes.
    var partitioner: Placing.ByLength { Placing.ByLength(partitionCount: partitions) }

    /// The next key, after the last one the first.
    func next(_ key: String) -> String {
        "k\((Int(key.dropFirst()) ?? 0) % keyCount + 1)"
    }

    /// What is wrong with where the keys of a batch are.
    func misplaced(_ recorded: Recorded<(String, Int)>, isCustom: Bool) -> [String] {
        recorded.partitions.flatMap { second, found in
            let hash = HashPartitioner<String>(partitionCount: partitions)
            let ours = found.map { $0.map { $0.0 }.sorted() }
            let expected = found.indices.map { index in
                found.joined().map { $0.0 }.sorted().filter {
                    (isCustom ? partitioner.partition(for: $0) : hash.partition(for: $0)) == index
                }
            }
            return difference("partitions, second \(second)", found.count, partitions)
                + difference("keys by partition, second \(second)", ours, expected)
        }
    }

    static func check(_ value: Int?) throws {
        if value == poison { throw Refused() }
        if value == flaky, TaskContext.current?.attempt == 0 { throw Refused() }
    }

    /// The seconds of the batches that fail.
    var bad: Set<Int> { Set((1...batches.count).filter(isBad)) }

    /// Whether states come out with other keys than they went in.
    var movesKeys: Bool { seed % 8 == 7 }

    func isBad(_ second: Int) -> Bool {
        batches[second - 1]?.contains { $0.1 == Self.poison } ?? false
    }

    func engine() -> any ExecutionEngine {
        if seed % 2 == 0 { return InlineEngine() }
        var configuration = LocalEngine.Configuration(slots: 2)
        configuration.inlineElementMaximum = 0
        return LocalEngine(configuration)
    }

    /// Runs all batches, some made before the ones before have run.
    ///
    /// - Returns: the seconds of failed jobs.
    mutating func run(_ run: StateRun, lagFrom first: Int) async throws -> [Int] {
        try run.start()
        var failed: [Int] = []
        var second = 0
        while second < batches.count {
            let ahead = second < first ? 1 : min(random.int(1...3), batches.count - second)
            var made: [StateRun.Batch] = []
            for _ in 0..<ahead { made.append(try await run.make()) }
            second += made.count
            // Batches that do not fail can be run in any order: each brings those before along.
            if mayOvertake { made.shuffle(using: &random) }
            for batch in made {
                let time = Int(batch.time.milliseconds / 1000)
                failed += await run.run(batch).map { _ in time }
            }
        }
        run.engine.shutdown()
        return failed
    }
}

/// States are exactly as if only the good batches had happened.
@Suite struct StateHistoryTests {
    private struct Timing {
        let timeout: Int?
        let interval: Int?

        init(_ random: inout SeededRandom) {
            timeout = random.chance(60) ? random.int(0...4) : nil
            interval = random.chance(50) ? random.int(1...3) : nil
        }

        func isDue(_ last: Int, _ second: Int) -> Bool {
            guard let timeout, interval.map({ second % $0 == 0 }) ?? true else { return false }
            return second - last > timeout
        }
    }

    private typealias Spec = StateSpec<String, Int, Int, String>

    private static let spec = Spec.function { time, key, value, state in
        try History.check(value)
        let second = time.milliseconds / 1000
        guard let value else {
            return "\(second) \(key) due \(state.getOption() ?? -1) \(state.isTimingOut)"
        }
        if value % 5 == 0, value < 1000 { try state.remove() }
        if value % 5 != 0 || value >= 1000, value != 1 {
            try state.update((state.getOption() ?? 0) + value)
        }
        return value == 2 ? nil : "\(second) \(key) \(value) \(state.getOption() ?? -1)"
    }

    /// The same, ten lines, from the whole history.
    private func model(
        _ history: History, _ timing: Timing
    ) -> (mapped: [Int: [String]], states: [Int: [String]]) {
        var states: [String: (value: Int, time: Int)]?
        var (mapped, snapshots) = ([Int: [String]](), [Int: [String]]())
        for second in 1...history.batches.count where !history.isBad(second) {
            var lines: [String] = []
            var now = states ?? [:]
            if states == nil {
                for (key, value) in history.initial ?? [] { now[key] = (value, second) }
            }
            for (key, value) in history.batches[second - 1] ?? [] {
                let old = now[key]
                if value % 5 == 0, value < 1000 {
                    now[key] = nil
                } else if value != 1 {
                    now[key] = ((old?.value ?? 0) + value, second)
                } else if old != nil, timing.timeout != nil {
                    now[key]?.time = second
                }
                if value != 2 { lines.append("\(second) \(key) \(value) \(now[key]?.value ?? -1)") }
            }
            for (key, state) in now where timing.isDue(state.time, second) {
                lines.append("\(second) \(key) due \(state.value) true")
                now[key] = nil
            }
            states = now
            mapped[second] = lines.sorted()
            snapshots[second] = now.map { "\(($0.key, $0.value.value))" }.sorted()
        }
        return (mapped, snapshots)
    }

    private func specification(
        _ history: inout History, _ timing: Timing, _ run: StateRun, isCustom: Bool
    ) -> Spec {
        var spec = Self.spec.numPartitions(history.partitions)
        if isCustom { spec = spec.partitioner(history.partitioner) }
        if let timeout = timing.timeout { spec = spec.timeout(.seconds(timeout)) }
        if timing.interval != nil { spec = spec.timeoutSweep(.atCheckpoints) }
        if let initial = history.initial {
            spec = spec.initialState(run.batch.parallelize(initial, partitions: 1))
        }
        return spec
    }

    @Test(.timeLimit(.minutes(5)))
    func mapWithStateIsAsIfOnlyGoodBatchesHadHappened() async {
        await Property("mapWithState with failures", histories: 1000).check { seed in
            var history = History(seed: seed)
            let timing = Timing(&history.random)
            let isCustom = history.random.chance(30)
            let run = StateRun(history.engine(), maxTaskFailures: 2)
            let stream = run.input(history.batches, partitions: history.random.int(1...3))
                .mapWithState(specification(&history, timing, run, isCustom: isCustom))
            if let interval = timing.interval { stream.checkpoint(.seconds(interval)) }
            let mapped = run.record(stream.mapped)
            let states = run.record(stream.stateSnapshots())
            let failed = try await history.run(run, lagFrom: 0)
            let model = model(history, timing)
            return differences("mapped", mapped.sorted, model.mapped)
                + differences("states", states.sorted, model.states)
                + difference("failed", Set(failed), history.bad)
                + history.misplaced(states, isCustom: isCustom)
        }
    }

    /// Batches that nobody looked at are applied before the next one that somebody looks at.
    @Test(.timeLimit(.minutes(5)))
    func batchesNobodyLooksAtCountAsWell() async {
        await Property("mapWithState looked at rarely", histories: 1000).check { seed in
            var history = History(seed: seed, fails: false)
            let timing = Timing(&history.random)
            let isCustom = history.random.chance(30)
            let run = StateRun(history.engine())
            let stream = run.input(history.batches)
                .mapWithState(specification(&history, timing, run, isCustom: isCustom))
            if let interval = timing.interval { stream.checkpoint(.seconds(interval)) }
            if seed % 5 == 0 { stream.persist(.memoryOnlySerialized) }
            let (rarely, offset) = (Int64(history.random.int(1...5)), Int64(seed % 3))
            let looks: @Sendable (BatchTime) -> Bool = {
                ($0.milliseconds / 1000 + offset) % rarely == 0
            }
            let mapped = run.record(stream.mapped, where: looks)
            let states = run.record(stream.stateSnapshots(), where: looks)
            let failed = try await history.run(run, lagFrom: 0)
            let model = model(history, timing)
            let seen = { (all: [Int: [String]]) in all.filter { looks(.seconds(Int64($0.key))) } }
            return differences("mapped", mapped.sorted, seen(model.mapped))
                + differences("states", states.sorted, seen(model.states))
                + difference("failed", failed, [])
                + history.misplaced(states, isCustom: isCustom)
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func updateStateByKeyIsAsIfOnlyGoodBatchesHadHappened() async {
        await Property("updateStateByKey with failures", histories: 2000).check { seed in
            var history = History(seed: seed)
            let run = StateRun(history.engine(), maxTaskFailures: 2)
            let states = states(&history, run)
            if history.random.chance(30) { states.checkpoint(.seconds(history.random.int(1...4))) }
            if history.random.chance(20) { states.persist(.memoryOnlySerialized) }
            let recorded = run.record(states)
            let model = updated(history)
            let failed = try await history.run(run, lagFrom: model.keys.min() ?? .max)
            // Who moves keys and does not deal them out again finds them where they were.
            return differences("states", recorded.sorted, model)
                + difference("failed", Set(failed), history.bad)
                + (history.movesKeys ? [] : history.misplaced(recorded, isCustom: seed % 4 != 0))
        }
    }

    /// Each form of the operator by turns.
    private func states(_ history: inout History, _ run: StateRun) -> DStream<(String, Int)> {
        let seed = history.seed
        let input = run.input(history.batches, partitions: 1)
        let initial = history.initial.map { run.batch.parallelize($0, partitions: 1) }
        let partitioner = history.partitioner
        switch seed % 4 {
        case 0:
            return input.updateStateByKey(
                partitions: history.partitions, initialRDD: initial, Self.update)
        case 1:
            return input.updateStateByKey(
                partitioner: partitioner, initialRDD: initial, Self.update)
        case 2:
            return input.updateStateByKey(
                partitioner: partitioner, rememberPartitioner: seed % 8 == 2, initialRDD: initial
            ) { time, key, values, state in
                // Times and keys count: a wrong one is a wrong state.
                try Self.update(values + [Self.salt(Int(time.milliseconds / 1000), key)], state)
            }
        default:
            let history = history
            return input.updateStateByKey(
                partitioner: partitioner, rememberPartitioner: !history.movesKeys,
                initialRDD: initial
            ) { entries in
                try entries.compactMap { key, values, state in
                    try Self.update(values, state).map {
                        (history.movesKeys ? history.next(key) : key, $0)
                    }
                }
            }
        }
    }

    private static func salt(_ second: Int, _ key: String) -> Int { second + key.utf8.count }

    private static let update: @Sendable ([Int], Int?) throws -> Int? = { values, state in
        for value in values { try History.check(value) }
        let next = values.reduce((state ?? 0) &* 3 % 1009) { $0 &* 7 &+ $1 }
        return next % 4 == 0 ? nil : next
    }

    private func updated(_ history: History) -> [Int: [String]] {
        var states: [String: Int]?
        var all: [Int: [String]] = [:]
        for second in 1...history.batches.count where !history.isBad(second) {
            let batch = history.batches[second - 1]
            if batch == nil, states == nil { continue }
            var values: [String: [Int]] = [:]
            for (key, value) in batch ?? [] { values[key, default: []].append(value) }
            let first = Dictionary(history.initial ?? []) { first, _ in first }
            let old = states ?? first
            var now: [String: Int] = [:]
            for key in Set(old.keys).union(values.keys) {
                var new = values[key] ?? []
                if history.seed % 4 == 2 { new.append(Self.salt(second, key)) }
                let next = new.reduce((old[key] ?? 0) &* 3 % 1009) { $0 &* 7 &+ $1 }
                if next % 4 != 0 { now[history.movesKeys ? history.next(key) : key] = next }
            }
            states = now
            all[second] = now.map { "\(($0.key, $0.value))" }.sorted()
        }
        return all
    }
}
