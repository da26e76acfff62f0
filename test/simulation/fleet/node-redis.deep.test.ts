import { describeSeeds } from './describe-seeds.ts'

describeSeeds('node-redis')
