import BatchEngine
import DStreamTestKit
import Synchronization
import Testing

@Suite("Partitioners are checked", .timeLimit(.minutes(5)))
struct WrongPartitionerTests {
    private static let keys = [0.0, -0.0, 1.5, .nan, -.nan, -7] + (0..<20).map { Double($0) }

    @Test("ours keeps its promises", arguments: [1, 3, 64])
    func right(count: Int) throws {
        try checkPartitioner(HashPartitioner<Double>(partitionCount: count), keys: Self.keys)
    }

    @Test(
        "wrong ones are noticed",
        arguments: zip(
            WrongPartitioner.Fault.allCases,
            [
                "from 0 to below 4", "the same partition each time", "same keys have the same",
                "at least one partition",
            ]))
    func fault(_ fault: WrongPartitioner.Fault, promise: String) async {
        let failure = await failure {
            try checkPartitioner(WrongPartitioner(fault), keys: Self.keys)
        }
        #expect(failure.contains(promise))
    }
}

final class WrongPartitioner: Partitioner {
    enum Fault: CaseIterable { case goesBeyond, takesTurns, seesSigns, hasNone }

    private let fault: Fault
    private let turn = Atomic(0)

    init(_ fault: Fault) { self.fault = fault }

    var partitionCount: Int { fault == .hasNone ? 0 : 4 }

    func partition(for key: Double) -> Int {
        switch fault {
        case .goesBeyond: Int(key.stableHash % 5)
        case .takesTurns: turn.add(1, ordering: .relaxed).newValue % 3
        case .seesSigns: key.sign == .minus ? 1 : 0
        case .hasNone: 0
        }
    }
}
