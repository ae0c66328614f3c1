public import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// A window with inverse gives what the form without gives: to the bit, whatever the numbers.
@Suite("Windows with inverse", .timeLimit(.minutes(5)))
struct InverseWindowTests {
    /// A number that rounds, and has infinities and NaN.
    protocol Number: BinaryFloatingPoint, StreamCodable where RawSignificand: FixedWidthInteger {}

    /// A struct that holds numbers: nothing tells the engine that it does.
    struct Pair<Part: Number>: StreamCodable, Equatable {
        var sum: Part
        var count: Int

        static func + (left: Pair, right: Pair) -> Pair {
            Pair(sum: left.sum + right.sum, count: left.count + right.count)
        }
        static func - (left: Pair, right: Pair) -> Pair {
            Pair(sum: left.sum - right.sum, count: left.count - right.count)
        }
        func encode(to writer: inout ByteWriter) {
            sum.encode(to: &writer)
            count.encode(to: &writer)
        }
        static func decode(from reader: inout ByteReader) throws -> Pair {
            Pair(sum: try .decode(from: &reader), count: try .decode(from: &reader))
        }
    }

    private struct Shape { let window: Int, slide: Int }

    /// Sums over windows of one stream, without and with inverse, batch by batch.
    private struct Sums<Value: Sendable> {
        var plain: [[String: Value]] = []
        var inverse: [[String: Value]] = []
    }

    private typealias Operation<Value> = @Sendable (Value, Value) -> Value

    /// Runs batches `from..<to`, continuing from what the medium holds.
    private func sums<Value: Sendable>(
        _ batches: [[(String, Value)]?], _ shape: Shape, _ combine: @escaping Operation<Value>,
        _ inverse: @escaping Operation<Value>, filter: (@Sendable ((String, Value)) -> Bool)? = nil,
        on medium: SimulatedStorageMedium = SimulatedStorageMedium(), range: Range<Int>? = nil
    ) async throws -> Sums<Value> {
        let range = range ?? 0..<batches.count
        let files = try await FileCheckpointStore.open("/state", on: medium)
        var components = StreamHarness.quietComponents
        components.checkpointStore = files
        let harness = StreamHarness(
            startTime: .seconds(Int64(range.lowerBound)), components: components)
        let input = harness.input(
            batches.enumerated().map { $0 < range.lowerBound ? [] : $1 }, from: .seconds(1))
        let (window, slide) = (Duration.seconds(shape.window), Duration.seconds(shape.slide))
        let plain = harness.record(
            input.reduceByKeyAndWindow(combine, window: window, slide: slide, partitions: 2))
        let slid = harness.record(
            input.reduceByKeyAndWindow(
                combine, inverse: inverse, window: window, slide: slide, partitions: 2,
                filter: filter))
        try await harness.goOn(for: range, isSettled: true)
        await files.close()
        #expect(harness.errors.isEmpty)
        var sums = Sums<Value>()
        sums.plain = plain.batches.map { Dictionary(uniqueKeysWithValues: $0.elements) }
        sums.inverse = slid.batches.map { Dictionary(uniqueKeysWithValues: $0.elements) }
        return sums
    }

    /// The cases: what has left the window has left the sum.
    @Test(arguments: [Double.nan, 1e17, .infinity, -.infinity])
    func nothingRemainsOfWhatHasLeft(first: Double) async throws {
        let sums = try await sums(
            [first, 1, 2, 3, 4, 5].map { [("a", $0)] }, Shape(window: 3, slide: 1), { $0 + $1 },
            { $0 - $1 })
        #expect(sums.inverse[3...].map { $0["a"] } == [6, 9, 12])
        #expect(sums.plain[3...].map { $0["a"] } == [6, 9, 12])
    }

    /// The same of whole streams.
    @Test(arguments: [Double.nan, 1e17, .infinity])
    func nothingRemainsInStreams(first: Double) async throws {
        let directory = try FileSystem.createTemporaryDirectory(prefix: "inverse")
        defer { try? FileSystem.removeTree(directory) }
        let harness = StreamHarness()
        harness.ssc.checkpoint(directory)
        let batches: [[Double]?] = [first, 1, 2, 3, 4, 5].map { [$0] } + [[], [], [], [7]]
        let seen = harness.record(
            harness.input(batches).reduceByWindow(+, inverse: -, window: .seconds(3)))
        try await harness.run(batches: batches.count)
        #expect(
            seen.batches.dropFirst(3).map(\.elements) == [[6], [9], [12], [9], [5], [0], [7]])
    }

    @Test func manyRandomSlidesAndThenZerosAreZero() async throws {
        var random = SeededRandom(12)
        let numbers = (0..<3000).map { _ in Double.random(in: -1000...1000, using: &random) }
        let batches: [[(String, Double)]?] = (numbers + [0, 0, 0, 0]).map { [("a", $0)] }
        let sums = try await sums(batches, Shape(window: 3, slide: 1), { $0 + $1 }, { $0 - $1 })
        #expect(sums.inverse.last?["a"] == 0)
        #expect(sums.inverse == sums.plain)
    }

    /// Numbers of all sizes, with what is not finite, and silence.
    private func batches<Part: Number>(
        of type: Part.Type, _ random: inout SeededRandom, _ count: Int
    ) -> [[(String, Part)]?] {
        let odd: [Part] = [
            .nan, .signalingNaN, .infinity, -.infinity, 0, -.zero, .greatestFiniteMagnitude,
            -.greatestFiniteMagnitude, .leastNonzeroMagnitude, .leastNormalMagnitude, 1, -1,
        ]
        return (0..<count).map { _ in
            if random.chance(15) { return random.chance(50) ? nil : [] }
            return (0..<random.int(0...4)).map { _ in
                let number: Part =
                    random.chance(20)
                    ? odd[random.int(0...odd.count - 1)]
                    : Part(random.int(-1000...1000)) / Part(random.int(1...1000))
                        * (random.chance(20) ? Part(random.int(1...60)) * 1000 : 1)
                return ("abc".map(String.init)[random.int(0...2)], number)
            }
        }
    }

    /// What is wrong: keys that both forms have must have the same bits, and what remains of keys
    /// without values is zero.
    private func differences<Part: Number>(_ sums: Sums<Part>) -> [String] {
        var found: [String] = []
        var seen: Set<String> = []
        for (number, (plain, inverse)) in zip(sums.plain, sums.inverse).enumerated() {
            seen.formUnion(plain.keys)
            for key in seen {
                let (left, right) = (plain[key] ?? 0, inverse[key])
                let isSame = right.map { $0.isNaN && left.isNaN || isIdentical($0, left) } ?? false
                if !isSame { found.append("window \(number), \(key): \(left), \(right as Any)") }
            }
            if inverse.count != seen.count { found.append("window \(number): \(inverse.keys)") }
        }
        if sums.plain.count != sums.inverse.count { found.append("\(sums.inverse.count) windows") }
        return found
    }

    private func isIdentical<Part: Number>(_ left: Part, _ right: Part) -> Bool {
        left == right && left.sign == right.sign
    }

    private func check<Part: Number>(_ type: Part.Type, seed: Int) async throws {
        var random = SeededRandom(seed)
        let shape = Shape(window: random.int(1...16), slide: random.int(1...3))
        let batches = batches(of: type, &random, random.int(20...50))
        let add: Operation<Part> = { $0 + $1 }
        let whole = try await sums(batches, shape, add) { $0 - $1 }
        #expect(differences(whole) == [], "\(type), \(shape)")
        // A restart changes no bit, of neither form.
        let medium = SimulatedStorageMedium()
        let middle = random.int(1...batches.count - 1)
        var pieces = try await sums(batches, shape, add, { $0 - $1 }, on: medium, range: 0..<middle)
        let rest = try await sums(
            batches, shape, add, { $0 - $1 }, on: medium, range: middle..<batches.count)
        pieces.plain += rest.plain
        pieces.inverse += rest.inverse
        #expect(differences(pieces) == [], "\(type), \(shape), restarted after \(middle)")
        #expect(text(pieces.plain) == text(whole.plain))
        #expect(text(pieces.inverse) == text(whole.inverse))
    }

    private func text<Value>(_ windows: [[String: Value]]) -> [[String]] {
        windows.map { window in
            window.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
                .map { $0.contains("nan") ? $0.filter { $0 != "-" } : $0 }
        }
    }

    @Test(arguments: 0..<25.testRounds)
    func everyKindOfNumberIsWhatThePlainFormGives(seed: Int) async throws {
        try await check(Double.self, seed: seed)
        try await check(Float.self, seed: seed + 100)
        #if !(os(macOS) && arch(x86_64))
            try await check(Float16.self, seed: seed + 200)
        #endif
        #if arch(x86_64) && !os(Windows)
            try await check(Float80.self, seed: seed + 300)
        #endif
    }

    private func mapped<Value>(
        _ batches: [[(String, Double)]?], _ transform: (Double) -> Value
    ) -> [[(String, Value)]?] {
        batches.map { batch in batch.map { $0.map { ($0.0, transform($0.1)) } } }
    }

    /// Numbers in tuples and in structs.
    @Test(arguments: 0..<10)
    func numbersWithinValuesAreWhatThePlainFormGives(seed: Int) async throws {
        var random = SeededRandom(seed)
        let shape = Shape(window: random.int(1...12), slide: random.int(1...2))
        let batches = batches(of: Double.self, &random, 30)
        let inPairs = mapped(batches) { Pair(sum: $0, count: 1) }
        let pairs = try await sums(
            inPairs, shape, { $0 + $1 }, { $0 - $1 }, filter: { $0.1.count > 0 })
        #expect(text(pairs.inverse) == text(pairs.plain))
        let inTuples = mapped(batches) { (1, $0) }
        let add: Operation<(Int, Double)> = { ($0.0 + $1.0, $0.1 + $1.1) }
        let subtract: Operation<(Int, Double)> = { ($0.0 - $1.0, $0.1 - $1.1) }
        let tuples = try await sums(inTuples, shape, add, subtract, filter: { $0.1.0 > 0 })
        #expect(text(tuples.inverse) == text(tuples.plain))
    }

    /// What remains of a key without values does not depend on what its values were.
    @Test func aSilentKeyStaysWithTheNeutralValue() async throws {
        let batches: [[(String, (Int, Double))]?] = [
            [("nan", (1, .nan)), ("zero", (1, 0)), ("two", (1, 2))], [], [],
        ]
        let products = try await sums(
            batches, Shape(window: 1, slide: 1), { ($0.0 + $1.0, $0.1 * $1.1) },
            { ($0.0 - $1.0, $0.1 / $1.1) })
        for window in products.inverse.dropFirst() {
            #expect(window.mapValues(\.0) == ["nan": 0, "zero": 0, "two": 0])
            #expect(window.mapValues(\.1) == ["nan": 1, "zero": 1, "two": 1])
        }
    }

    /// Where an inverse is called, as in Spark, a key without values starts anew with the next.
    @Test func aKeyStartsAnewAfterSilence() async throws {
        let batches: [[(String, Int)]?] = [[("a", 1)], [], [("a", 5)], [("a", 6)]]
        let sums = try await sums(
            batches, Shape(window: 1, slide: 1), { $0 + $1 }, { $0 * 100 + $1 })
        #expect(sums.inverse.map { $0["a"] } == [1, 101, 5, 511])
    }

    /// Integers are taken out: no window is folded again.
    @Test func integersAreTakenOut() async throws {
        let calls = Locked(0)
        let batches: [[(String, Int)]?] = (0..<60).map { [("a", $0)] }
        let sums = try await sums(batches, Shape(window: 20, slide: 1), { $0 + $1 }) {
            calls.withLock { $0 += 1 }
            return $0 - $1
        }
        #expect(sums.inverse == sums.plain)
        #expect(calls.withLock { $0 } == 40)
    }
}

extension Double: InverseWindowTests.Number {}
extension Float: InverseWindowTests.Number {}

#if !(os(macOS) && arch(x86_64))
    extension Float16: InverseWindowTests.Number, StreamCodable {
        /// Its bits.
        public func encode(to writer: inout ByteWriter) { bitPattern.encode(to: &writer) }
        /// From its bits.
        public static func decode(from reader: inout ByteReader) throws -> Float16 {
            Float16(bitPattern: try .decode(from: &reader))
        }
    }
#endif

#if arch(x86_64) && !os(Windows)
    extension Float80: InverseWindowTests.Number, StreamCodable {
        /// Sign, exponent and significand.
        public func encode(to writer: inout ByteWriter) {
            (sign == .minus).encode(to: &writer)
            Int(exponentBitPattern).encode(to: &writer)
            significandBitPattern.encode(to: &writer)
        }
        /// From sign, exponent and significand.
        public static func decode(from reader: inout ByteReader) throws -> Float80 {
            let isNegative = try Bool.decode(from: &reader)
            let exponent = try Int.decode(from: &reader)
            return Float80(
                sign: isNegative ? .minus : .plus,
                exponentBitPattern: UInt(truncatingIfNeeded: exponent),
                significandBitPattern: try .decode(from: &reader))
        }
    }
#endif
