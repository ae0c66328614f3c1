import Testing

import BatchEngine

@Suite("Broadcast values and accumulators", .timeLimit(.minutes(5)))
struct BroadcastAccumulatorTests {
    @Test("tasks read a broadcast value")
    func broadcast() async throws {
        let context = BatchContext.parallel()
        let table = context.broadcast([1: "one", 2: "two"])
        let names = try await context.parallelize([1, 2, 3], partitions: 2)
            .map { table.value[$0] ?? "?" }.collect()
        #expect(names == ["one", "two", "?"])
    }

    @Test("additions from many tasks and from the driver are all counted")
    func sums() async throws {
        let sum = Accumulator<Int>()
        let longest = Accumulator("") { $0.utf8.count >= $1.utf8.count ? $0 : $1 }
        sum.add(5)
        try await BatchContext.parallel(slots: 4).parallelize(0..<10_000, partitions: 16)
            .foreach { element in
                sum.add(1)
                longest.add(String(element))
            }
        #expect(sum.value == 10_005)
        #expect(longest.value.utf8.count == 4)
    }

    @Test("nothing of a job that failed counts")
    func failedJob() async throws {
        let sum = Accumulator<Int>()
        let rdd = BatchContext.parallel(maxTaskFailures: 2).parallelize([1], partitions: 1)
            .map { element -> Int in
                sum.add(1)
                throw Boom(number: element)
            }
        await #expect(throws: EngineError.self) { try await rdd.count() }
        #expect(sum.value == 0)
    }

    @Test("a combining closure may look at the accumulator itself")
    func reentrant() {
        final class Holder: @unchecked Sendable { var accumulator: Accumulator<Int>? }
        let holder = Holder()
        let sum = Accumulator(0) { $0 + $1 + (holder.accumulator?.value ?? 0) * 0 }
        holder.accumulator = sum
        sum.add(3)
        sum.add(4)
        #expect(sum.value == 7)
        holder.accumulator = nil
    }
}
