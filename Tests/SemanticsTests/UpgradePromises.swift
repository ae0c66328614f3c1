import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Testing

/// A program that was changed goes on with the state of the one before, or says why not: promise
/// S20 of `Docs/Semantics.md`.
@Suite("S20: changed programs", .timeLimit(.minutes(5)))
struct UpgradePromises {
    private typealias Words = DStream<(String, Int)>
    private typealias Program = @Sendable (StreamHarness, Words) -> OutputRecorder<String>

    private let medium = SimulatedStorageMedium()

    /// Runs a program for three batches of one word each; gives what came out last.
    ///
    /// - Parameter isCutOff: whether nothing that it writes gets into the directory.
    private func run(_ program: Program, isCutOff: Bool = false) async throws -> [String] {
        var components = StreamHarness.quietComponents
        let store = try await FileCheckpointStore.open("/state", on: medium)
        components.checkpointStore = isCutOff ? CutOffStore(store: store) : store
        let earlier = try await store.recover()?.record.time
        let harness = StreamHarness(startTime: earlier ?? .zero, components: components)
        let words = harness.input(
            Array(repeating: [("a", 1), ("b", 2)], count: 20), from: .seconds(1))
        let seen = program(harness, words)
        let directory = try FileSystem.createTemporaryDirectory(prefix: "upgrade")
        defer { try? FileSystem.removeTree(directory) }
        let ssc = try await StreamingContext.getOrCreate(checkpointDirectory: directory) {
            harness.ssc
        }
        do {
            try await ssc.start()
        } catch {
            await store.close()
            throw error
        }
        for _ in 0..<3 { try await harness.advance() }
        await ssc.stop(graceful: true)
        #expect(harness.errors.isEmpty, "\(harness.errors)")
        await store.close()
        return seen.batches.last?.elements.sorted() ?? []
    }

    /// A store whose writes are lost, as those of a program that ends before its first checkpoint.
    private struct CutOffStore: CheckpointStore {
        let store: FileCheckpointStore

        func write(_ record: CheckpointRecord, state: [OperatorState]) async throws {}

        func recover() async throws -> RecoveredCheckpoint? { try await store.recover() }
    }

    private func refusal(_ program: Program) async -> String {
        do {
            let output = try await run(program)
            return "it started, and gave \(output)"
        } catch {
            return "\(error)"
        }
    }

    // MARK: Programs

    private static func sum(_ values: [Int], _ state: Int?) -> Int? {
        (state ?? 0) + values.reduce(0, +)
    }

    private static let plain: Program = { harness, words in
        harness.record(words.updateStateByKey(sum).map { "\($0)" })
    }

    private static let named: Program = { harness, words in
        harness.record(words.updateStateByKey(sum).named("sums").map { "\($0)" })
    }

    /// The sum and how often it was added to.
    private static let pairs: Program = { harness, words in
        harness.record(pair(words).named("sums").map { "\($0)" })
    }

    private static func pair(_ words: Words) -> DStream<(String, (Int, Int))> {
        words.updateStateByKey { values, state -> (Int, Int)? in
            ((state?.0 ?? 0) + values.reduce(0, +), (state?.1 ?? 0) + 1)
        }
    }

    private static func mapping<Value: StreamCodable & Numeric>(
        _ words: Words, _ type: Value.Type
    ) -> MapWithStateDStream<String, Value, String> {
        words.mapWithState(
            StateSpec<String, Int, Value, String>.function { key, value, state in
                let sum = (state.getOption() ?? 0) + (Value(exactly: value ?? 0) ?? 0)
                try state.update(sum)
                return "\(key) \(sum)"
            }
        ).named("sums")
    }

    // MARK: What keeps its state

    @Test func outputsAndStatelessOperatorsComeAndGo() async throws {
        #expect(try await run(Self.plain) == ["(\"a\", 3)", "(\"b\", 6)"])
        let more = try await run { harness, words in
            words.filter { $0.1 > 1 }.foreachRDD { _ in }
            let sums = words.map { ($0.0, $0.1) }.updateStateByKey(Self.sum)
            sums.mapValues { $0 * 2 }.foreachRDD { _ in }
            return harness.record(sums.map { "\($0)" })
        }
        #expect(more == ["(\"a\", 6)", "(\"b\", 12)"])
        #expect(try await run(Self.plain) == ["(\"a\", 9)", "(\"b\", 18)"])
    }

    @Test func namesAreFoundInAnyOrder() async throws {
        _ = try await run { harness, words in
            words.updateStateByKey { _, _ in -1 }.named("other").foreachRDD { _ in }
            return harness.record(words.updateStateByKey(Self.sum).named("sums").map { "\($0)" })
        }
        let output = try await run { harness, words in
            let sums = words.updateStateByKey(Self.sum).named("sums")
            words.updateStateByKey { _, _ in -1 }.named("new").foreachRDD { _ in }
            words.updateStateByKey { _, _ in -1 }.named("other").foreachRDD { _ in }
            return harness.record(sums.map { "\($0)" })
        }
        #expect(output == ["(\"a\", 6)", "(\"b\", 12)"])
    }

    @Test func anOperatorIsGivenAnotherName() async throws {
        _ = try await run(Self.plain)
        let id = "updateStateByKey of (String,Int) #0"
        let message = await refusal(Self.named)
        #expect(message.contains("named(\"sums\", formerly: \"\(id)\")"), "\(message)")
        let renamed = try await run { harness, words in
            let sums = words.updateStateByKey(Self.sum).named("sums", formerly: id)
            return harness.record(sums.map { "\($0)" })
        }
        #expect(renamed == ["(\"a\", 6)", "(\"b\", 12)"])
        let again = try await run { harness, words in
            let sums = words.updateStateByKey(Self.sum).named("totals", formerly: "sums")
            return harness.record(sums.map { "\($0)" })
        }
        #expect(again == ["(\"a\", 9)", "(\"b\", 18)"])
    }

    /// Two windows of one type, the other way round where told.
    private static func windows(
        isInverse: Bool, isSwapped: Bool = false, prefix: String = "", formerly: [String] = []
    ) -> Program {
        { harness, words in
            var seen: OutputRecorder<String>?
            for (place, key) in isSwapped ? [(1, "b"), (0, "a")] : [(0, "a"), (1, "b")] {
                let own = words.filter { $0.0 == key }
                let window = Duration.seconds(60)
                let sums =
                    isInverse
                    ? own.reduceByKeyAndWindow(+, inverse: { $0 - $1 }, window: window)
                    : own.reduceByKeyAndWindow(+, window: window)
                if let former = formerly.dropFirst(place).first {
                    sums.named(prefix + key, formerly: former)
                } else if !prefix.isEmpty {
                    sums.named(prefix + key)
                }
                let lines = sums.map { "\($0)" }
                if key == "a" { seen = harness.record(lines) } else { lines.foreachRDD { _ in } }
            }
            return seen ?? harness.record(words.map { "\($0)" })
        }
    }

    @Test("a window is found by the name of what it gives", arguments: [false, true])
    func windowsAreFoundInAnyOrder(isInverse: Bool) async throws {
        let named = Self.windows(isInverse: isInverse, prefix: "of ")
        #expect(try await run(named) == ["(\"a\", 3)"])
        let swapped = Self.windows(isInverse: isInverse, isSwapped: true, prefix: "of ")
        #expect(try await run(swapped) == ["(\"a\", 6)"])
        let more: Program = { harness, words in
            words.reduceByKeyAndWindow(+, window: .seconds(60)).named("new").foreachRDD { _ in }
            return named(harness, words)
        }
        #expect(try await run(more) == ["(\"a\", 9)"])
        let fewer: Program = { harness, words in
            harness.ssc.discardState(of: "new")
            return swapped(harness, words)
        }
        #expect(try await run(fewer) == ["(\"a\", 12)"])
    }

    @Test("windows without names are given some", arguments: [false, true])
    func windowsAreNamed(isInverse: Bool) async throws {
        _ = try await run(Self.windows(isInverse: isInverse))
        let message = await refusal(Self.windows(isInverse: isInverse, prefix: "of "))
        #expect(message.contains("named(\"of a\", formerly: \"reduceByKeyAnd"), "\(message)")
        let ids = [0, 1].map { "reduceByKeyAndWindow of (String,Int) #\($0)" }
        let named = Self.windows(
            isInverse: isInverse, isSwapped: true, prefix: "of ", formerly: ids)
        #expect(try await run(named) == ["(\"a\", 6)"])
        let renamed = Self.windows(
            isInverse: isInverse, prefix: "sums of ", formerly: ["of a", "of b"])
        #expect(try await run(renamed) == ["(\"a\", 9)"])
    }

    @Test func aFormerNameMayStayInTheProgram() async throws {
        _ = try await run(Self.named)
        let renamed: Program = { harness, words in
            let sums = words.updateStateByKey(Self.sum).named("totals", formerly: "sums")
            return harness.record(sums.map { "\($0)" })
        }
        #expect(try await run(renamed) == ["(\"a\", 6)", "(\"b\", 12)"])
        #expect(try await run(renamed) == ["(\"a\", 9)", "(\"b\", 18)"])
    }

    @Test(arguments: [false, true])
    func aTypeOfStateIsMigrated(isNamed: Bool) async throws {
        _ = try await run(isNamed ? Self.named : Self.plain)
        let output = try await run { harness, words in
            let sums = Self.pair(words).migrateState { (old: Int) in (old, 100) }
            if isNamed { sums.named("sums") }
            return harness.record(sums.map { "\($0)" })
        }
        #expect(output == ["(\"a\", (6, 103))", "(\"b\", (12, 103))"])
        // From now on it is its own.
        guard isNamed else { return }
        #expect(try await run(Self.pairs) == ["(\"a\", (9, 106))", "(\"b\", (18, 106))"])
    }

    @Test func aProgramThatEndsBeforeItsFirstCheckpointHasChangedNothing() async throws {
        _ = try await run(Self.named)
        let changed: Program = { harness, words in
            harness.record(
                Self.pair(words).migrateState { (old: Int) in (old, 100) }
                    .named("totals", formerly: "sums").map { "\($0)" })
        }
        let output = ["(\"a\", (6, 103))", "(\"b\", (12, 103))"]
        #expect(try await run(changed, isCutOff: true) == output)
        #expect(try await run(changed, isCutOff: true) == output)
        // The program before can still go on, too.
        #expect(try await run(Self.named, isCutOff: true) == ["(\"a\", 6)", "(\"b\", 12)"])
        #expect(try await run(changed) == output)
        #expect(try await run(changed) == ["(\"a\", (9, 106))", "(\"b\", (18, 106))"])
    }

    @Test func aWindowOfWhatIsMappedTakesItsBatchesAlong() async throws {
        let program: Program = { harness, words in
            harness.record(
                Self.mapping(words, Int.self).mapped.window(.seconds(2)))
        }
        #expect(try await run(program) == ["a 2", "a 3", "b 4", "b 6"])
        #expect(try await run(program) == ["a 5", "a 6", "b 10", "b 12"])
        let message = await refusal { harness, words in
            harness.record(Self.mapping(words, Int.self).mapped)
        }
        let output = "mapWithState output \"sums\""
        #expect(message.contains("discardState(of: \"\(output)\")"), "\(message)")
        let alone = try await run { harness, words in
            harness.ssc.discardState(of: output)
            return harness.record(Self.mapping(words, Int.self).mapped)
        }
        #expect(alone == ["a 9", "b 18"])
    }

    // MARK: What cannot be read

    /// A number that is written like an `Int`, and of which one program reads only small ones.
    private struct Sum<Limit: SumLimit>: StreamCodable, CustomStringConvertible {
        var number: Int
        static var codecShape: String { "Sum" }
        var description: String { "\(number)" }

        func encode(to writer: inout ByteWriter) { number.encode(to: &writer) }

        static func decode(from reader: inout ByteReader) throws -> Sum {
            let sum = Sum(number: try Int.decode(from: &reader))
            if sum.number > Limit.maximum { throw TooLarge(number: sum.number) }
            return sum
        }
    }

    private struct TooLarge: Error { let number: Int }

    private protocol SumLimit: Sendable { static var maximum: Int { get } }
    private enum Wide: SumLimit { static var maximum: Int { .max } }
    private enum Narrow: SumLimit { static var maximum: Int { 5 } }

    private enum Keeper: CaseIterable {
        case update, updateWhole, map, window

        func program<Limit: SumLimit>(_ limit: Limit.Type) -> Program {
            { harness, words in
                let sums: DStream<(String, Sum<Limit>)> =
                    switch self {
                    case .update:
                        words.updateStateByKey { Self.add($0, $1) }
                    case .updateWhole:
                        words.updateStateByKey(
                            partitioner: HashPartitioner<String>(partitionCount: 2)
                        ) { (entries: [(String, [Int], Sum<Limit>?)]) in
                            entries.compactMap { key, values, state in
                                Self.add(values, state).map { (key, $0) }
                            }
                        }
                    case .map:
                        words.mapWithState(
                            StateSpec.function {
                                (key: String, value: Int?, state: State<Sum<Limit>>) in
                                let sum = Self.add(value.map { [$0] } ?? [], state.getOption())
                                if let sum { try state.update(sum) }
                                return (key, sum ?? Sum(number: 0))
                            }
                        ).mapped
                    case .window:
                        words.map { ($0.0, Sum<Limit>(number: $0.1 + 4)) }.window(.seconds(2))
                    }
                return harness.record(sums.map { "\($0)" })
            }
        }

        private static func add<Limit>(_ values: [Int], _ state: Sum<Limit>?) -> Sum<Limit>? {
            Sum(number: (state?.number ?? 0) + values.reduce(0, +))
        }
    }

    @Test(arguments: Keeper.allCases)
    private func whatCannotBeReadKeepsTheProgramFromStarting(keeper: Keeper) async throws {
        _ = try await run(keeper.program(Wide.self))
        let message = await refusal(keeper.program(Narrow.self))
        let kind =
            switch keeper {
            case .update, .updateWhole: "updateStateByKey of"
            case .map: "mapWithState of"
            case .window: "map of"
            }
        #expect(message.contains("what the checkpoint holds of \(kind)"), "\(message)")
        #expect(message.contains("TooLarge(number: 6)"), "\(message)")
        // Nothing was changed.
        _ = try await run(keeper.program(Wide.self))
    }

    @Test func aStateThatIsMappedWithIsMigrated() async throws {
        _ = try await run { harness, words in harness.record(Self.mapping(words, Int.self).mapped) }
        let message = await refusal { harness, words in
            harness.record(Self.mapping(words, Double.self).mapped)
        }
        #expect(message.contains("kept (String,Int)"), "\(message)")
        let output = try await run { harness, words in
            harness.record(
                Self.mapping(words, Double.self).migrateState { (old: Int) in Double(old) / 2 }
                    .mapped)
        }
        #expect(output == ["a 4.5", "b 9.0"])
    }

    // MARK: What is refused

    @Test func anotherTypeOfStateIsRefused() async throws {
        _ = try await run(Self.named)
        let message = await refusal(Self.pairs)
        for part in [
            "updateStateByKey \"sums\"", "kept (String,Int)", "it keeps (String,(Int,Int))",
            "migrateState(from:)",
        ] {
            #expect(message.contains(part), "\(message)")
        }
        // Nothing was changed.
        #expect(try await run(Self.named) == ["(\"a\", 6)", "(\"b\", 12)"])
    }

    @Test func aMigrationThatThrowsKeepsTheCheckpoint() async throws {
        struct Strange: Error {}
        _ = try await run(Self.named)
        let message = await refusal { harness, words in
            let sums = Self.pair(words).migrateState { (_: Int) in throw Strange() }.named("sums")
            return harness.record(sums.map { "\($0)" })
        }
        #expect(message.contains("Strange"), "\(message)")
        #expect(try await run(Self.named) == ["(\"a\", 6)", "(\"b\", 12)"])
    }

    @Test func stateOfAnOperatorThatIsGoneIsGivenUpOnlyOnRequest() async throws {
        _ = try await run(Self.named)
        let stateless: Program = { harness, words in harness.record(words.map { "\($0)" }) }
        let message = await refusal(stateless)
        #expect(message.contains("discardState(of: \"sums\")"), "\(message)")
        let output = try await run { harness, words in
            harness.ssc.discardState(of: "sums")
            return stateless(harness, words)
        }
        #expect(output == ["(\"a\", 1)", "(\"b\", 2)"])
        let anew = try await run(Self.named)
        #expect(anew == ["(\"a\", 3)", "(\"b\", 6)"])
    }

    @Test func whichOfTwoIsNotGuessed() async throws {
        _ = try await run(Self.plain)
        let two: Program = { harness, words in
            words.updateStateByKey { _, _ in -1 }.foreachRDD { _ in }
            return Self.plain(harness, words)
        }
        let message = await refusal(two)
        #expect(message.contains("1 unnamed updateStateByKey of (String,Int)"), "\(message)")
        #expect(message.contains("this program has 2"), "\(message)")
        let output = try await run { harness, words in
            words.updateStateByKey { _, _ in -1 }.named("new").foreachRDD { _ in }
            return Self.plain(harness, words)
        }
        #expect(output == ["(\"a\", 6)", "(\"b\", 12)"])
    }

    @Test func oneNameForTwoIsRefused() async throws {
        let message = await refusal { harness, words in
            words.updateStateByKey(Self.sum).named("sums").foreachRDD { _ in }
            return Self.named(harness, words)
        }
        #expect(message.contains("2 operators are updateStateByKey \"sums\""), "\(message)")
    }

    @Test func aFormerNameThatAnotherOperatorHasIsRefused() async throws {
        _ = try await run(Self.named)
        for rival in ["sums", "others"] {
            let message = await refusal { harness, words in
                words.updateStateByKey(Self.sum).named(rival, formerly: "sums")
                    .foreachRDD { _ in }
                let sums = words.updateStateByKey(Self.sum).named("totals", formerly: "sums")
                return harness.record(sums.map { "\($0)" })
            }
            #expect(
                message.contains("updateStateByKey \"totals\" was formerly \"sums\""),
                "\(message)")
        }
        // Nothing was changed.
        #expect(try await run(Self.named) == ["(\"a\", 6)", "(\"b\", 12)"])
    }

    @Test func aMigrationThatWouldNeverBeCalledIsRefused() async throws {
        let twice = await refusal { harness, words in
            let sums = Self.pair(words).named("sums")
                .migrateState { (old: Int) in (old, 1) }
                .migrateState { (old: Int) in (old, 2) }
            return harness.record(sums.map { "\($0)" })
        }
        #expect(twice.contains("there is one from (String,Int) already"), "\(twice)")
        let same = await refusal { harness, words in
            let sums = words.updateStateByKey(Self.sum).migrateState { (old: Int) in old * 2 }
            return harness.record(sums.map { "\($0)" })
        }
        #expect(same.contains("the operator keeps (String,Int)"), "\(same)")
    }

    @Test func onlyWhatKeepsStateIsMigrated() async throws {
        let message = await refusal { harness, words in
            words.map { ($0.0, $0.1) }.migrateState { (old: String) in old.count }
                .foreachRDD { _ in }
            return Self.plain(harness, words)
        }
        #expect(message.contains("map keeps no such state"), "\(message)")
    }
}
