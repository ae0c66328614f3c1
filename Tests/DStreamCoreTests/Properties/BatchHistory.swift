import BatchEngine
import DStreamCore
import DStreamTestKit

/// The batches of one input by seed: some empty, some without RDD, one perhaps broken.
struct BatchHistory: Sendable {
    /// What is wrong with one batch.
    enum Trouble: Sendable {
        case none
        /// The batch cannot be generated.
        case ungenerated(Int)
        /// An element cannot be computed.
        case uncomputed(Int)
        /// An element can be computed at the second try only.
        case flaky(Int)
    }

    /// Two keys look the same and are not.
    private static let keys = ["a", "b", "\u{e9}", "e\u{301}", "a key that is stored apart", ""]

    let batches: [[(String, String)]?]
    let partitions: Int
    let trouble: Trouble

    init(_ random: inout SeededRandom, count: Int, trouble: Trouble = .none, gaps: Int = 15) {
        let keys = Self.keys.shuffled(using: &random).prefix(random.int(1...Self.keys.count))
        let size = random.chance(10) ? 12 : 4
        batches = (1...count).map { second in
            if random.chance(gaps) { return nil }
            if random.chance(20) { return [] }
            return (0..<random.int(1...size)).map { number in
                (keys[random.int(0...keys.count - 1)], "\(second).\(number) ")
            }
        }
        partitions = random.int(1...3)
        self.trouble = trouble
    }

    /// The batches as a stream of a graph.
    func stream(_ run: StateRun) -> DStream<(String, String)> {
        let trouble = trouble
        let input = run.input(batches, partitions: partitions) { second in
            if case .ungenerated(second) = trouble { throw Refused() }
        }
        switch trouble {
        case .none, .ungenerated: return input
        case .uncomputed(let second):
            return input.map { pair in
                if pair.1.hasPrefix("\(second).") { throw Refused() }
                return pair
            }
        case .flaky(let second):
            return input.map { pair in
                if pair.1.hasPrefix("\(second)."), TaskContext.current?.attempt == 0 {
                    throw Refused()
                }
                return pair
            }
        }
    }

    /// The stream by definition.
    var model: StreamModel {
        var model = StreamModel(end: batches.count)
        for (index, batch) in batches.enumerated() { model.batches[index + 1] = batch }
        switch trouble {
        case .none, .flaky: break
        case .ungenerated(let second):
            model.failed.insert(second)
            model.isGenerated = false
        case .uncomputed(let second):
            if model.batches[second]?.isEmpty == false { model.failed.insert(second) }
        }
        return model
    }
}

/// A stream by definition: which batches there are, and which cannot be had.
struct StreamModel {
    /// Batches between two RDDs.
    var slide = 1
    /// The last batch.
    let end: Int
    /// A second without an entry has no RDD.
    var batches: [Int: [(String, String)]] = [:]
    var failed: Set<Int> = []
    /// Whether what has failed was at least generated.
    var isGenerated = true

    init(end: Int) { self.end = end }

    /// What an operator over windows makes of the stream: each window from the whole history.
    func over(
        _ window: Int, _ slide: Int, _ operation: WindowOperator
    ) -> StreamModel {
        var result = self
        (result.slide, result.batches, result.failed) = (slide, [:], [])
        var seen: [String] = []
        for time in stride(from: slide, through: end, by: slide) {
            let times = stride(from: time - window + self.slide, through: time, by: self.slide)
            if times.contains(where: failed.contains) {
                result.failed.insert(time)
            } else {
                result.batches[time] = operation.model(
                    times.flatMap { batches[$0] ?? [] }, seen: &seen)
            }
        }
        return result
    }
}

/// How keys are dealt out to partitions, and whether that was done.
struct Placing: Sendable {
    /// A partitioner of the user's own.
    struct ByLength: Partitioner {
        let partitionCount: Int
        func partition(for key: String) -> Int { key.utf8.count % partitionCount }
    }

    /// nil: the engine's default.
    let partitions: Int?
    let isCustom: Bool

    init(_ random: inout SeededRandom) {
        partitions = random.chance(30) ? nil : random.int(1...4)
        isCustom = random.chance(30)
    }

    /// The engines of the histories have two partitions by default.
    var count: Int { partitions ?? 2 }
    var custom: ByLength { ByLength(partitionCount: count) }

    func partition(for key: String, isCustom: Bool) -> Int {
        isCustom
            ? custom.partition(for: key)
            : HashPartitioner<String>(partitionCount: count).partition(for: key)
    }
}

/// Keys are the same if their bytes are: not what `==` of strings says.
func isSame(_ left: String, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }

/// The values of each key, keys in the order of their first coming.
func grouped(_ pairs: [(String, String)]) -> [(key: String, values: [String])] {
    var groups: [(key: String, values: [String])] = []
    for (key, value) in pairs {
        if let index = groups.firstIndex(where: { isSame($0.key, key) }) {
            groups[index].values.append(value)
        } else {
            groups.append((key, [value]))
        }
    }
    return groups
}

/// Pairs as lines whose bytes tell keys apart.
func lines(_ pairs: [(String, String)]) -> [String] {
    pairs.map { key, value in
        key.utf8.reduce(into: "") { $0 += $1 < 128 ? "\(UnicodeScalar($1))" : "<\($1)>" }
            + "=\(value)"
    }
}

/// Lines by key, those of a key in their order.
func linesByKey(_ pairs: [(String, String)]) -> [String] {
    grouped(pairs).map { key, values in lines([(key, values.joined(separator: " & "))])[0] }
        .sorted()
}
